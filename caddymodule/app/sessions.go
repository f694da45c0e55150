package app

import (
	"context"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/chatgate/chatgate/authcore"
)

// SessionsModule is a module in the namespace chatgate.sessions. It keeps sessions and limits.
type SessionsModule interface {
	caddy.Module

	// Embedded reports whether sessions are in the accounts' database, which has to be a [SessionsHost] then. It is called
	// before Provision, too.
	Embedded() bool

	// Identity names the store; if sessions are embedded, it only has a Name. It is called after Provision.
	Identity() Identity

	// Open connects to the store. As for [AccountsModule], it is called once, and the stores stay open while they are
	// needed. ctx ends after 30 s at the latest. The accounts' database is open already.
	Open(ctx context.Context, accounts AccountStores) (SessionStores, error)
}

// SessionStores is an open store of sessions. Package storetest tests each part.
type SessionStores struct {
	Sessions authcore.SessionStore
	Limits   authcore.LimitStore
	Feed     authcore.Feed          // nil: no other node uses the store
	Presence authcore.PresenceStore // likewise

	Close func() error // called once, when nothing uses the stores any more; may be nil
}

// unmarshalSessions reads sessions <store> …, with the parser of chatgate.sessions.<store>.
func (a *App) unmarshalSessions(d *caddyfile.Dispenser) (err error) {
	a.sessions, a.SessionsRaw, err = unmarshalGuest[SessionsModule](d, sessionsGuest)
	return err
}

// checkStores refuses stores that do not go together, and names the option to change. A nil module is the default.
func (a *App) checkStores() (option string, err error) {
	embedded := a.sessions == nil || a.sessions.Embedded()
	host, hosts := a.accounts.(SessionsHost)
	switch {
	case !embedded || a.accounts == nil:
	case !hosts:
		return "accounts", fmt.Errorf("accounts %s keeps no sessions; say where they are, such as: sessions redis <url>", moduleName(a.accounts))
	case host.Shared() && a.sessions == nil:
		return "accounts", fmt.Errorf("accounts %s needs to know where sessions are: sessions redis <url>, or sessions embedded where one node alone uses the database", moduleName(a.accounts))
	}
	for _, grace := range [...]struct {
		option string
		value  caddy.Duration
	}{{"feed_grace", a.FeedGrace}, {"live_grace", a.LiveGrace}} {
		if embedded && grace.value != 0 {
			return grace.option, fmt.Errorf("%s only matters where sessions are in Redis", grace.option)
		}
	}
	return "", nil
}

func moduleName(m caddy.Module) string { return m.CaddyModule().ID.Name() }

// stores are the stores of a state.
type stores struct {
	key   string // of the state; contains no secret
	place string // of the sessions; contains no secret

	accounts AccountsModule
	sessions SessionsModule
}

func newStores(accounts AccountsModule, sessions SessionsModule) stores {
	db := accounts.Identity()
	if sessions.Embedded() {
		// Two states over one database would not learn of each other's logouts, so the database alone is the key, not how
		// it is reached.
		return stores{db.Place, db.Place, accounts, sessions}
	}
	// Two states over one feed learn of each other's logouts, so any difference makes another one.
	s := sessions.Identity()
	return stores{Fingerprint(db.Config, s.Config), s.Place, accounts, sessions}
}

// loadStores provisions the modules of the stores.
func (a *App) loadStores(ctx caddy.Context) (err error) {
	if !isSet(a.AccountsRaw) {
		a.AccountsRaw = accountsGuest.object("sqlite", struct{}{})
	}
	if a.accounts, err = loadGuest[AccountsModule](ctx, a, accountsGuest, "AccountsRaw", a.AccountsRaw); err != nil {
		return err
	}
	said := isSet(a.SessionsRaw)
	if !said {
		a.SessionsRaw = sessionsGuest.object("embedded", struct{}{})
	}
	sessions, err := loadGuest[SessionsModule](ctx, a, sessionsGuest, "SessionsRaw", a.SessionsRaw)
	if err != nil {
		return err
	}
	if said {
		a.sessions = sessions
	}
	if _, err := a.checkStores(); err != nil {
		return err
	}
	a.storeOptions().Fill() // after checkStores, which asks what was written
	a.stores = newStores(a.accounts, sessions)
	return nil
}

// warnOfStores warns of risky settings. The stores are open.
func (a *App) warnOfStores() {
	host, ok := a.accounts.(SessionsHost)
	if !ok || !host.Shared() || !a.stores.sessions.Embedded() {
		return
	}
	is, was := a.accounts.Identity(), a.holder.stores.accounts.Identity()
	a.logger.Warn("sessions are embedded in the " + is.Name + " database: only one node may use it")
	if is.Config != was.Config {
		a.logger.Warn("the " + is.Name + " database stays open with its old options; restart chatgate to use the new ones")
	}
}
