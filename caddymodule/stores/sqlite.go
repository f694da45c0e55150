package stores

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/chatgate/chatgate/authcore/sqlstore"
	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/caddymodule/option"
)

func init() {
	caddy.RegisterModule(new(SQLite))
}

// SQLite keeps accounts in a file, which belongs to one node. It is the default, and sessions are embedded in it unless
// they are said to be elsewhere.
type SQLite struct {
	// The file; it may hold placeholders. Default: chatgate/chatgate.db under Caddy's data directory.
	Path string `json:"path,omitempty"`

	path string
}

// CaddyModule returns the Caddy module information.
func (*SQLite) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "chatgate.accounts.sqlite", New: func() caddy.Module { return new(SQLite) }}
}

// Options implements [option.Holder]. The path is on the option's line.
func (*SQLite) Options() option.Table { return nil }

// UnmarshalCaddyfile reads the option. Syntax:
//
//	accounts sqlite [<path>]
func (s *SQLite) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // sqlite
	args := d.RemainingArgs()
	if len(args) > 1 {
		return d.Err("accounts sqlite is written as: accounts sqlite [<path>]")
	}
	if len(args) == 1 {
		if s.Path = args[0]; s.Path == "" {
			return d.Err("accounts sqlite has an empty path; name a file, or leave it out for the default one")
		}
	}
	_, err := option.Block{Of: "accounts sqlite", Table: s.Options()}.Read(d)
	return err
}

// Provision finds the file.
func (s *SQLite) Provision(caddy.Context) (err error) {
	path := filepath.Join(caddy.AppDataDir(), "chatgate", "chatgate.db")
	if s.Path != "" {
		if path, err = caddy.NewReplacer().ReplaceOrErr(s.Path, true, true); err != nil {
			return fmt.Errorf("accounts sqlite: %w", err)
		}
	}
	if s.path, err = realPath(path); err != nil {
		return fmt.Errorf("accounts sqlite %s: %w", path, err)
	}
	return nil
}

// realPath returns the one name of a file. Under two names, one file would be two states, which do not hear of each other's
// logouts.
func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real, nil
	}
	// What is not there yet has no other name.
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(dir, filepath.Base(path))
	}
	return path, nil
}

// Identity implements [app.AccountsModule]. The file is all that there is to say.
func (s *SQLite) Identity() app.Identity {
	return app.Identity{Name: "SQLite, " + s.path, Place: s.path, Config: s.path}
}

// Shared implements [app.SessionsHost].
func (*SQLite) Shared() bool { return false }

// Open implements [app.AccountsModule].
func (s *SQLite) Open(ctx context.Context) (app.AccountStores, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return opened(sqlstore.OpenSQLite(ctx, s.path))
}

// opened returns what a database keeps, which is everything.
func opened(db *sqlstore.Store, err error) (app.AccountStores, error) {
	if err != nil {
		return app.AccountStores{}, err
	}
	return app.AccountStores{
		Accounts: db, Revocations: db, Codes: db, Invites: db, Phones: db, Devices: db, Keys: db, Sessions: db,
		Warnings: db.Warnings(), Close: db.Close,
	}, nil
}

// Interface guards
var (
	_ app.SessionsHost      = (*SQLite)(nil)
	_ option.Holder         = (*SQLite)(nil)
	_ caddy.Provisioner     = (*SQLite)(nil)
	_ caddyfile.Unmarshaler = (*SQLite)(nil)
)
