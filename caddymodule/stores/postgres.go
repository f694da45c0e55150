package stores

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/chatgate/chatgate/authcore/sqlstore"
	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/caddymodule/option"
	"github.com/chatgate/chatgate/caddymodule/syntax"
)

func init() {
	caddy.RegisterModule(new(Postgres))
}

// Postgres keeps accounts in a PostgreSQL database, which any number of nodes may use if sessions are in Redis. Sessions can
// be embedded where one node alone uses it.
type Postgres struct {
	// A URL, or keywords and values as libpq takes them. Passwords in it have to be placeholders.
	DSN string `json:"dsn,omitempty"`
	// Connections at most, 1 to 10000. Default: 16.
	MaxConns int `json:"max_conns,omitempty"`
	// How long to wait for a connection, 10ms to 1m. Default: 750ms.
	ConnectTimeout caddy.Duration `json:"connect_timeout,omitempty"`
	// How long to wait for an answer, 10ms to 1m. Default: 750ms.
	StatementTimeout caddy.Duration `json:"statement_timeout,omitempty"`

	options  sqlstore.PostgresOptions // with a password
	database []string                 // which one it is, however it is reached
}

// CaddyModule returns the Caddy module information.
func (*Postgres) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "chatgate.accounts.postgres", New: func() caddy.Module { return new(Postgres) }}
}

// Options implements [option.Holder]. The DSN is on the option's line.
func (p *Postgres) Options() option.Table {
	return option.Table{
		option.Count("max_conns", &p.MaxConns).Default("16").Between("1", "10000"),
		option.Duration("connect_timeout", &p.ConnectTimeout).Default("750ms").Between(timeoutLeast, timeoutMost),
		option.Duration("statement_timeout", &p.StatementTimeout).Default("750ms").Between(timeoutLeast, timeoutMost),
	}
}

// The bounds of most timeouts.
const (
	timeoutLeast = "10ms"
	timeoutMost  = "1m"
)

// UnmarshalCaddyfile reads the option. Syntax, with the defaults:
//
//	accounts postgres <dsn> {
//	    max_conns         16
//	    connect_timeout   750ms
//	    statement_timeout 750ms
//	}
//
// The DSN is a URL, or keywords and values in quotes. It holds placeholders in the place of passwords, or is one.
func (p *Postgres) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // postgres
	line := d.Token()
	args := d.RemainingArgs()
	if len(args) != 1 || args[0] == "" {
		return d.Err("accounts postgres is written as: accounts postgres <dsn>, where a DSN with spaces goes into quotes")
	}
	p.DSN = args[0]
	return option.Block{Of: "accounts postgres", Table: p.Options(), Prefixed: true}.ReadAt(d, line, p.check)
}

// check finds what is wrong whatever values placeholders have.
func (p *Postgres) check() error {
	if p.DSN == "" {
		return errors.New("there is no dsn")
	}
	a, err := syntax.ParseAddress(p.DSN)
	if err != nil {
		return fmt.Errorf("the connection string cannot be used: %w", err)
	}
	if a.Scheme != "" && a.Scheme != "postgres" && a.Scheme != "postgresql" ||
		a.Scheme == "" && len(a.Names) == 0 && !strings.Contains(p.DSN, "=") {
		return errors.New("the connection string is neither a URL like postgres://user:{env.NAME}@host/database nor made of keywords and values")
	}
	return p.Options().Check()
}

// Provision finds out which database is meant.
func (p *Postgres) Provision(caddy.Context) error {
	err := p.check()
	if err == nil {
		p.Options().Fill()
		err = p.resolve(caddy.NewReplacer())
	}
	if err != nil {
		return fmt.Errorf("accounts postgres: %w", err)
	}
	return nil
}

func (p *Postgres) resolve(repl *caddy.Replacer) error {
	a, err := syntax.ParseAddress(p.DSN)
	if err != nil {
		return err
	}
	dsn, err := a.Resolve(repl)
	if err != nil {
		return err
	}
	if _, err := syntax.ParseAddress(dsn); errors.Is(err, syntax.ErrTorn) { // what else it says is of no use here
		return fmt.Errorf("the connection string cannot be used: %w", syntax.ErrTorn)
	}
	parsed, err := pgconn.ParseConfig(dsn)
	if err != nil {
		// The error quotes what it did not understand, and that may be the password.
		return errors.New("the connection string is malformed, or a file that it names cannot be read")
	}
	hosts := []string{net.JoinHostPort(parsed.Host, strconv.Itoa(int(parsed.Port)))}
	for _, f := range parsed.Fallbacks {
		hosts = append(hosts, net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port))))
	}
	slices.Sort(hosts)
	p.database = append(slices.Compact(hosts), parsed.Database, parsed.RuntimeParams["search_path"])
	p.options = sqlstore.PostgresOptions{
		DSN: dsn, MaxConns: p.MaxConns,
		ConnectTimeout: time.Duration(p.ConnectTimeout), StatementTimeout: time.Duration(p.StatementTimeout),
	}
	return nil
}

// Identity implements [app.AccountsModule].
func (p *Postgres) Identity() app.Identity {
	o, place := p.options, app.Fingerprint(append([]string{"postgres"}, p.database...)...)
	return app.Identity{Name: "PostgreSQL", Place: place, Config: app.Fingerprint(
		place, o.DSN, strconv.Itoa(o.MaxConns), o.ConnectTimeout.String(), o.StatementTimeout.String(),
	)}
}

// Shared implements [app.SessionsHost].
func (*Postgres) Shared() bool { return true }

// Open implements [app.AccountsModule]. The store has time limits of its own.
func (p *Postgres) Open(ctx context.Context) (app.AccountStores, error) {
	return opened(sqlstore.OpenPostgres(ctx, p.options))
}

// Interface guards
var (
	_ app.SessionsHost      = (*Postgres)(nil)
	_ option.Holder         = (*Postgres)(nil)
	_ caddy.Provisioner     = (*Postgres)(nil)
	_ caddyfile.Unmarshaler = (*Postgres)(nil)
)
