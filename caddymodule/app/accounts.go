package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/chatgate/chatgate/authcore"
)

// AccountsModule is a module in the namespace chatgate.accounts: it keeps accounts, signing keys and whatever else must
// never be lost.
type AccountsModule interface {
	caddy.Module

	// Identity says which database is meant. It is asked for after Provision.
	Identity() Identity

	// Open connects to the database and brings it up to date. It is called once for as long as any configuration or live
	// connection needs the database: by the first to start, and, if that has ended meanwhile, also after its Cleanup. Open
	// keeps to time limits of its own; an error says what is wrong, without secrets.
	Open(ctx context.Context) (AccountStores, error)
}

// SessionsHost is an [AccountsModule] whose database can keep sessions as well, for "sessions embedded".
type SessionsHost interface {
	AccountsModule

	// Shared reports whether other nodes may use the same database. They would not hear of a logout on this one while
	// sessions are embedded, so the operator has to ask for that, and is warned. It is asked before Provision, too.
	Shared() bool
}

// AccountStores is an open database of accounts. Package storetest defines what each store has to do.
type AccountStores struct {
	Accounts    authcore.AccountStore
	Revocations authcore.RevocationStore
	Codes       authcore.CodeStore
	Invites     authcore.InviteStore
	Phones      authcore.PhoneStore // nil: Accounts, if it is one; else nobody can register with a phone number
	Devices     authcore.DeviceStore
	Keys        authcore.KeyStore
	Sessions    authcore.SessionStore // of a [SessionsHost]

	Warnings []string     // for the log
	Close    func() error // called once, when nothing uses the stores any more
}

// Identity says which store a module means, so that a reload knows whether it is the same as before: one that is the same
// stays open. Nothing in it is a secret in clear; see [Fingerprint].
type Identity struct {
	// Name is what logs and errors call the store, such as PostgreSQL.
	Name string
	// Place is different for different databases, also for those of other modules, and the same for one database however it
	// is reached: two states over one database would not hear of each other's logouts.
	Place string
	// Config is different whenever Place or anything about the way there is: passwords, limits, certificates.
	Config string
}

// Fingerprint returns a hash of parts, which may be secret.
func Fingerprint(parts ...string) string {
	raw, err := json.Marshal(parts)
	if err != nil {
		panic(err) // strings always have a JSON form
	}
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// unmarshalAccounts reads accounts <store> …, with the parser of chatgate.accounts.<store>.
func (a *App) unmarshalAccounts(d *caddyfile.Dispenser) (err error) {
	a.accounts, a.AccountsRaw, err = unmarshalGuest[AccountsModule](d, accountsGuest)
	return err
}
