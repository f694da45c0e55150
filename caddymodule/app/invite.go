package app

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/option"
	"github.com/chatgate/chatgate/caddymodule/syntax"
)

// InviteConfig is an invite whose code an operator chose, so that somebody can be the first.
type InviteConfig struct {
	Code     string         `json:"code"`               // a placeholder: {env.NAME} or {file.path}
	Uses     int            `json:"uses,omitempty"`     // accounts that it makes: 1
	Lifetime caddy.Duration `json:"lifetime,omitempty"` // from when it is made: 30d
}

// Options implements [option.Holder]. The code is on the option's line.
func (c *InviteConfig) Options() option.Table {
	return option.Table{
		option.Count("uses", &c.Uses).Default("1").Between("1", strconv.Itoa(authcore.MaxInviteUses)),
		option.Duration("lifetime", &c.Lifetime).Default("30d").Between("1m", option.DurationText(authcore.MaxInviteLifetime)),
	}
}

// check finds what is wrong with c whatever value its placeholder has. No error shows the code.
func (c *InviteConfig) check() error {
	if c == nil {
		return nil
	}
	return cmp.Or(syntax.Secret("the code", c.Code), c.Options().Check())
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
		return firstInvite{}, fmt.Errorf("first_invite: %w", err)
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
	c.Options().Fill()
	return firstInvite{code, authcore.NewInvite{Uses: c.Uses, Lifetime: time.Duration(c.Lifetime)}}, nil
}

// unmarshalFirstInvite reads an invite that an operator chose. Syntax, with the defaults:
//
//	first_invite {env.NAME} | {file.path} {
//	    uses     1
//	    lifetime 30d
//	}
func (a *App) unmarshalFirstInvite(d *caddyfile.Dispenser) error {
	line := d.Token()
	args := d.RemainingArgs()
	if len(args) != 1 || strings.TrimSpace(args[0]) == "" {
		return d.Err("first_invite is written as: first_invite {env.NAME}")
	}
	c := &InviteConfig{Code: args[0]}
	a.FirstInvite = c
	return option.Block{Of: "first_invite", Table: c.Options(), Prefixed: true}.ReadAt(d, line, c.check)
}
