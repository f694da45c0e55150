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

// AccountsModule is a module in the namespace chatgate.accounts. It keeps accounts, signing keys and all else that must
// never be lost.
type AccountsModule interface {
	caddy.Module

	// Identity names the database. It is called after Provision.
	Identity() Identity

	// Open connects to the database and brings it up to date. It is called once, when the first configuration that needs
	// the database starts, maybe after that one's Cleanup. The stores stay open while any configuration or live connection
	// needs them. Open has time limits of its own; errors contain no secrets.
	Open(ctx context.Context) (AccountStores, error)
}

// SessionsHost is an [AccountsModule] whose database can keep sessions as well, for "sessions embedded".
type SessionsHost interface {
	AccountsModule

	// Shared reports whether other nodes can use the same database. While sessions are embedded they would not learn of
	// a logout on this one, so operators have to choose that explicitly, and get a warning. It is called before Provision,
	// too.
	Shared() bool
}

// AccountStores is an open database of accounts. Package storetest tests each store.
type AccountStores struct {
	Accounts    authcore.AccountStore
	Revocations authcore.RevocationStore
	Codes       authcore.CodeStore
	Invites     authcore.InviteStore
	Phones      authcore.PhoneStore // nil: Accounts, if it is one; else nobody can register with a phone number
	Devices     authcore.DeviceStore
	Keys        authcore.KeyStore
	Sessions    authcore.SessionStore // required from a [SessionsHost]

	Warnings []string     // for the log
	Close    func() error // called once, when nothing uses the stores any more
}

// Identity names the store of a module, so that a reload keeps a store open that has not changed. It contains no secret
// in clear; see [Fingerprint].
type Identity struct {
	// Name is the store's name in logs and errors, such as PostgreSQL.
	Name string
	// Place differs between databases, also from those of other modules, but is the same for one database however it is
	// reached: two states over one database would not learn of each other's logouts.
	Place string
	// Config differs whenever Place or any setting of the connection differs: passwords, limits, certificates.
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
