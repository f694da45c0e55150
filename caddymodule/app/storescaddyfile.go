package app

import (
	"errors"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/chatgate/chatgate/caddymodule/syntax"
)

// unmarshalAccounts reads where accounts are. Syntax, with the defaults:
//
//	accounts sqlite [<path>]
//	accounts postgres <dsn> {
//	    max_conns         16
//	    connect_timeout   750ms
//	    statement_timeout 750ms
//	}
//
// The DSN is a URL, or keywords and values in quotes. It holds placeholders in the place of passwords, or is one.
func (a *App) unmarshalAccounts(d *caddyfile.Dispenser) error {
	line := d.Token()
	args := d.RemainingArgs()
	c := new(AccountsConfig)
	switch {
	case len(args) > 0 && args[0] == "sqlite":
		if len(args) > 2 {
			return d.Err("accounts sqlite is written as: accounts sqlite [<path>]")
		}
		if len(args) == 2 {
			if c.Path = args[1]; c.Path == "" {
				return d.Err("accounts sqlite has an empty path; name a file, or leave it out for the default one")
			}
		}
	case len(args) > 0 && args[0] == "postgres":
		if len(args) != 2 || args[1] == "" {
			return d.Err("accounts postgres is written as: accounts postgres <dsn>, where a DSN with spaces goes into quotes")
		}
		c.DSN = args[1]
	default:
		return d.Err("accounts is written as: accounts sqlite [<path>], or as: accounts postgres <dsn>")
	}
	c.Store = args[0]
	a.Accounts = c
	return unmarshalStore(d, line, c.check, map[string]func() error{
		"max_conns":         func() error { return syntax.Count(d, &c.MaxConns) },
		"connect_timeout":   func() error { return syntax.Duration(d, &c.ConnectTimeout) },
		"statement_timeout": func() error { return syntax.Duration(d, &c.StatementTimeout) },
	}, "accounts", "max_conns, connect_timeout and statement_timeout")
}

// unmarshalSessions reads where sessions are. Syntax, with the defaults:
//
//	sessions embedded
//	sessions redis <url>... {
//	    mode            single | sentinel | cluster
//	    master          <name>
//	    prefix          chatgate
//	    ca              <file>
//	    cert            <file> <key file>
//	    max_conns       32
//	    connect_timeout 500ms
//	    command_timeout 500ms
//	    answer_timeout  1s
//	}
//
// A URL holds placeholders in the place of passwords, or is one.
func (a *App) unmarshalSessions(d *caddyfile.Dispenser) error {
	line := d.Token()
	args := d.RemainingArgs()
	c := new(SessionsConfig)
	switch {
	case len(args) > 0 && args[0] == "embedded":
		if len(args) > 1 {
			return d.Err("sessions embedded takes nothing more")
		}
	case len(args) > 0 && args[0] == "redis":
		if c.URLs = args[1:]; len(c.URLs) == 0 {
			return d.Err("sessions redis is written as: sessions redis <url>..., such as redis://localhost:6379")
		}
	default:
		return d.Err("sessions is written as: sessions embedded, or as: sessions redis <url>...")
	}
	c.Store = args[0]
	a.Sessions = c
	return unmarshalStore(d, line, c.check, map[string]func() error{
		"mode":            func() error { return syntax.OneOf(d, &c.Mode, "single", "sentinel", "cluster") },
		"master":          func() error { return syntax.One(d, &c.Master) },
		"prefix":          func() error { return syntax.One(d, &c.Prefix) },
		"ca":              func() error { return syntax.One(d, &c.CA) },
		"cert":            func() error { return certArgs(d, c) },
		"max_conns":       func() error { return syntax.Count(d, &c.MaxConns) },
		"connect_timeout": func() error { return syntax.Duration(d, &c.ConnectTimeout) },
		"command_timeout": func() error { return syntax.Duration(d, &c.CommandTimeout) },
		"answer_timeout":  func() error { return syntax.Duration(d, &c.AnswerTimeout) },
	}, "sessions", "mode, master, prefix, ca, cert, max_conns, connect_timeout, command_timeout and answer_timeout")
}

// unmarshalStore reads the block of a store, if there is one, and reports what check finds where it is written.
func unmarshalStore(d *caddyfile.Dispenser, line caddyfile.Token, check func() error, options map[string]func() error, what, names string) error {
	at := make(map[string]caddyfile.Token)
	seen := make(syntax.Once)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		read, ok := options[option]
		if !ok && strings.ContainsAny(option, ":=@") { // an address out of place, perhaps with a password
			return d.Errf("unknown option of %s; there are %s", what, names)
		} else if !ok {
			return d.Errf("unknown option %q of %s; there are %s", option, what, names)
		}
		if err := seen.See(d); err != nil {
			return err
		}
		at[option] = d.Token()
		if err := read(); err != nil {
			return err
		}
	}
	err := check()
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*storeError](err); ok {
		if t, ok := at[e.option]; ok {
			line = t
		}
	}
	return syntax.At(line, err)
}

func certArgs(d *caddyfile.Dispenser, c *SessionsConfig) error {
	args := d.RemainingArgs()
	if len(args) != 2 || strings.TrimSpace(args[0]) == "" || strings.TrimSpace(args[1]) == "" {
		return d.Err("cert is written as: cert <file> <key file>")
	}
	c.Cert, c.Key = args[0], args[1]
	return nil
}
