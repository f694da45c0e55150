package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("chatgate_accounts", parseAccounts)
	httpcaddyfile.RegisterDirectiveOrder("chatgate_accounts", httpcaddyfile.Before, "reverse_proxy")
}

func parseAccounts(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	a := new(Accounts)
	return a, a.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile reads the directive. Syntax:
//
//	chatgate_accounts [<matcher>] rooms {
//	    prefix /api/v1
//	}
func (a *Accounts) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if !d.NextArg() {
		return d.Err("chatgate_accounts needs the name of a dialect: rooms")
	}
	a.Dialect = d.Val()
	if err := a.checkCopy(); err != nil {
		return d.WrapErr(err)
	}
	if d.NextArg() {
		return d.Errf("unexpected %q; chatgate_accounts takes one dialect, and a directive of its own for each", d.Val())
	}
	seen := make(once)
	for d.NextBlock(0) {
		if err := seen.see(d); err != nil {
			return err
		}
		switch option := d.Val(); option {
		case "prefix":
			if err := oneArg(d, &a.Prefix); err != nil {
				return err
			}
			if err := a.checkCopy(); err != nil {
				return d.WrapErr(err)
			}
		default:
			return d.Errf("unknown option %q of chatgate_accounts; there is: prefix", option)
		}
	}
	return nil
}

// checkCopy is check without the defaults, which do not belong into the JSON.
func (a *Accounts) checkCopy() error {
	probe := *a
	return probe.check()
}
