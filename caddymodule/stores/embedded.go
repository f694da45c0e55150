package stores

import (
	"context"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/caddymodule/option"
)

func init() {
	caddy.RegisterModule(new(Embedded))
}

// Embedded keeps sessions in the accounts' database, and limits in memory. One node alone may use the database then.
type Embedded struct{}

// CaddyModule returns the Caddy module information.
func (*Embedded) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "chatgate.sessions.embedded", New: func() caddy.Module { return new(Embedded) }}
}

// Options implements [option.Holder].
func (*Embedded) Options() option.Table { return nil }

// UnmarshalCaddyfile reads the option. Syntax:
//
//	sessions embedded
func (e *Embedded) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // embedded
	if d.NextArg() {
		return d.Err("sessions embedded takes nothing more")
	}
	_, err := option.Block{Of: "sessions embedded", Table: e.Options()}.Read(d)
	return err
}

// Embedded implements [app.SessionsModule].
func (*Embedded) Embedded() bool { return true }

// Identity implements [app.SessionsModule]. The place is the accounts'.
func (*Embedded) Identity() app.Identity { return app.Identity{Name: "embedded store"} }

// Open implements [app.SessionsModule].
func (*Embedded) Open(_ context.Context, accounts app.AccountStores) (app.SessionStores, error) {
	limits, err := authcore.NewMemoryLimits(time.Now)
	return app.SessionStores{Sessions: accounts.Sessions, Limits: limits}, err
}

// Interface guards
var (
	_ app.SessionsModule    = (*Embedded)(nil)
	_ option.Holder         = (*Embedded)(nil)
	_ caddyfile.Unmarshaler = (*Embedded)(nil)
)
