package app

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/syntax"
)

// InviteConfig is an invite whose code an operator chose, so that somebody can be the first.
type InviteConfig struct {
	Code     string         `json:"code"`               // a placeholder: {env.NAME} or {file.path}
	Uses     int            `json:"uses,omitempty"`     // accounts that it makes: 1
	Lifetime caddy.Duration `json:"lifetime,omitempty"` // from when it is made: 30d
}

// check finds what is wrong with c whatever value its placeholder has. No error shows the code.
func (c *InviteConfig) check() error {
	if c == nil {
		return nil
	}
	fail := func(option string, err error) error { return &storeError{"first_invite", option, err} }
	if err := syntax.Secret("the code", c.Code); err != nil {
		return fail("", err)
	}
	if err := inRange(fail, "uses", c.Uses, 1, authcore.MaxInviteUses, strconv.Itoa); err != nil {
		return err
	}
	return inRange(fail, "lifetime", c.Lifetime, caddy.Duration(time.Minute), caddy.Duration(authcore.MaxInviteLifetime), durationText)
}

// firstInvite is what to make, or nothing. It holds a secret.
type firstInvite struct {
	code authcore.InviteCode
	new  authcore.NewInvite
}

func (c *InviteConfig) resolve(repl *caddy.Replacer) (firstInvite, error) {
	if c == nil {
		return firstInvite{}, nil
	}
	if err := c.check(); err != nil {
		return firstInvite{}, err
	}
	text, err := repl.ReplaceOrErr(c.Code, true, true)
	code := authcore.InviteCode(text)
	if err == nil {
		err = code.Check()
	}
	if e, ok := errors.AsType[*authcore.Error](err); ok {
		err = errors.New(e.Msg)
	}
	if err != nil {
		return firstInvite{}, fmt.Errorf("first_invite %s: %w", c.Code, err)
	}
	return firstInvite{code, authcore.NewInvite{
		Uses: cmp.Or(c.Uses, 1), Lifetime: time.Duration(cmp.Or(c.Lifetime, caddy.Duration(30*24*time.Hour))),
	}}, nil
}
