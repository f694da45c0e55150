package accounts

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/chatgate/chatgate/caddymodule/syntax"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("chatgate_accounts", parseAccounts)
	// It answers its own endpoints and nothing else, so that a page in a handle block, even one for every path, must not
	// hide them; but what asks for a password comes first.
	httpcaddyfile.RegisterDirectiveOrder("chatgate_accounts", httpcaddyfile.Before, "invoke")
}

func parseAccounts(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	a := new(Accounts)
	return a, a.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile reads the directive. Syntax:
//
//	chatgate_accounts [<matcher>] rooms | auth | users {
//	    prefix              /api/v1 | /api/auth | /users
//	    token_lifetime      <duration>
//	    require_invites     on | off       # of auth
//	    login_creates_users [on | off]     # of users
//	    origins             <origin>...    # of users
//	}
func (a *Accounts) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if !d.NextArg() {
		return d.Errf("chatgate_accounts needs the name of a dialect: %s", dialectNames())
	}
	a.Dialect = d.Val()
	probe := *a
	if err := probe.check(); err != nil {
		return d.WrapErr(err)
	}
	there := append([]string{"prefix", "token_lifetime"}, probe.dialect.Options...)
	if d.NextArg() {
		return d.Errf("unexpected %q; chatgate_accounts takes one dialect, and a directive of its own for each", d.Val())
	}
	seen := make(syntax.Once)
	for d.NextBlock(0) {
		if err := seen.See(d); err != nil {
			return err
		}
		if !slices.Contains(there, d.Val()) {
			return d.Errf("unknown option %q of chatgate_accounts %s; there are: %s", d.Val(), a.Dialect, strings.Join(there, ", "))
		}
		if err := a.unmarshalOption(d, d.Val()); err != nil {
			return err
		}
		if err := a.checkCopy(); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

func (a *Accounts) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "prefix":
		return syntax.One(d, &a.Prefix)
	case "token_lifetime":
		return syntax.Duration(d, &a.TokenLifetime)
	case "require_invites":
		a.RequireInvites = new(bool)
		return syntax.OnOff(d, a.RequireInvites)
	case "login_creates_users":
		if d.CountRemainingArgs() == 0 {
			a.LoginCreatesUsers = true
			return nil
		}
		return syntax.OnOff(d, &a.LoginCreatesUsers)
	case "origins":
		if a.Origins = d.RemainingArgs(); len(a.Origins) == 0 {
			return d.Err("origins needs at least one origin, such as https://chat.example.com")
		}
		return nil
	}
	return nil
}

// checkCopy is check without the defaults, which do not belong into the JSON.
func (a *Accounts) checkCopy() error {
	probe := *a
	return probe.check()
}
