package accounts

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/chatgate/chatgate/caddymodule/option"
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
//	    origins             <origins...>
//	    cookie              <name>         # of rooms and auth
//	    require_invites     on | off       # of auth
//	    login_creates_users [on | off]     # of users
//	}
func (a *Accounts) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if !d.NextArg() {
		return d.Errf("chatgate_accounts needs the name of a dialect: %s", dialectNames())
	}
	a.Dialect = d.Val()
	probe := *a // whose defaults do not belong into the JSON
	if err := probe.check(); err != nil {
		return d.WrapErr(err)
	}
	if d.NextArg() {
		return d.Errf("unexpected %q; chatgate_accounts takes one dialect, and a directive of its own for each", d.Val())
	}
	_, err := option.Block{Of: "chatgate_accounts " + a.Dialect, Table: a.Options()}.Read(d)
	return err
}
