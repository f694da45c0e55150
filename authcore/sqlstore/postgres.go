package sqlstore

import (
	"cmp"
	"context"
	"crypto/x509"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/postgres/*.sql
var postgresMigrations embed.FS

const (
	postgresLock      = 0x63686174_67617465 // "chatgate": the advisory lock of those who bring a database up to date
	postgresMigrating = 10 * time.Minute    // how long that may take, with waiting for others who do
	postgresForgotten = 10 * time.Second    // after which the server ends a transaction that nobody goes on with
	postgresReadOnly  = 5 * time.Second     // after which a connection that cannot write is exchanged for a new one

	postgresSlack       = 250 * time.Millisecond // for an error of the server's or the driver's to come before ours
	postgresCommitSlack = 50 * time.Millisecond  // that a commit may take longer than the caller wants to wait
)

// PostgresOptions says which database to use and how long to wait for it.
type PostgresOptions struct {
	// DSN is a URL (postgres://user:password@host:port/database?sslmode=verify-full) or keywords and values, as libpq
	// takes them. It holds a password, so no error and no log shows it.
	DSN string

	MaxConns int // connections at most; 16 if zero

	// No call takes longer than these two together.
	ConnectTimeout   time.Duration // to wait for a connection, a new one or a free one; 750 ms if zero
	StatementTimeout time.Duration // to wait for the answer to a statement; 750 ms if zero
}

// OpenPostgres connects to a PostgreSQL server and brings the tables of the database up to date. Any number of stores,
// also on several machines, may use one database.
func OpenPostgres(ctx context.Context, o PostgresOptions) (*Store, error) {
	s, err := openPostgres(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: cannot use the PostgreSQL database: %w", oneLine{explainPostgres(err)})
	}
	return s, nil
}

func openPostgres(ctx context.Context, o PostgresOptions) (_ *Store, err error) {
	o = o.withDefaults()
	config, err := o.config()
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	db := stdlib.OpenDBFromPool(pool)
	s := &Store{
		write: db, read: db, release: pool.Close, limit: o.ConnectTimeout + o.StatementTimeout, lostRace: postgresLostRace,
	}
	defer func() {
		if err != nil {
			_ = s.Close() // the reason why opening failed is the one to tell
		}
	}()
	// The pool does not wait long for a server that is not there; what migrates has to be patient.
	if err := db.PingContext(ctx); err != nil {
		return nil, err
	}
	if err := migratePostgres(ctx, config.ConnConfig); err != nil {
		return nil, err
	}
	s.prepared()
	return s, s.Ping(ctx)
}

func (o PostgresOptions) withDefaults() PostgresOptions {
	o.MaxConns = cmp.Or(o.MaxConns, 16)
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, 750*time.Millisecond)
	o.StatementTimeout = cmp.Or(o.StatementTimeout, 750*time.Millisecond)
	return o
}

// config checks the options and turns them into the driver's.
func (o PostgresOptions) config() (*pgxpool.Config, error) {
	if o.MaxConns < 0 || o.MaxConns > math.MaxInt32 || o.ConnectTimeout < 0 || o.StatementTimeout < 0 {
		return nil, errors.New("a limit is out of range")
	}
	if o.DSN == "" {
		return nil, errors.New("there is no connection string")
	}
	if torn(o.DSN) {
		return nil, errors.New("the connection string is malformed: in a URL, / ? # and @ in a user name, a password or a parameter have to be percent-encoded")
	}
	config, err := pgxpool.ParseConfig(o.DSN)
	if err != nil {
		// The error quotes what it did not understand, and that may be the password.
		return nil, errors.New("the connection string is malformed, or a file that it names cannot be read")
	}
	config.MaxConns = int32(o.MaxConns)
	config.PingTimeout = o.ConnectTimeout / 4
	exchangeReadOnly(config)

	c := config.ConnConfig
	hosts := map[string]bool{fmt.Sprint(c.Host, c.Port): true}
	for _, f := range c.Fallbacks {
		hosts[fmt.Sprint(f.Host, f.Port)] = true
	}
	c.ConnectTimeout = o.ConnectTimeout / time.Duration(len(hosts)) // so that all of them get their turn
	boundDialing(c, o.ConnectTimeout)
	// What the driver says of a connection that took too long tells more than that the time is over, and what the server
	// says of a statement keeps the connection; so they come first.
	c.Tracer = limiter{acquire: o.ConnectTimeout + postgresSlack, statement: o.StatementTimeout + postgresSlack}
	c.RuntimeParams["statement_timeout"] = inMillis(o.StatementTimeout)
	// The server takes a second to notice a deadlock, which is too long; whoever gives up waiting undoes it, too.
	c.RuntimeParams["lock_timeout"] = inMillis(o.StatementTimeout / 3)
	c.RuntimeParams["idle_in_transaction_session_timeout"] = inMillis(postgresForgotten)
	c.RuntimeParams["default_transaction_isolation"] = "read committed"
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "chatgate"
	}
	return config, nil
}

// inMillis gives a limit as the server takes it. Zero would mean none.
func inMillis(d time.Duration) string { return strconv.FormatInt(max(d.Milliseconds(), 1), 10) }

// torn reports whether a URL ends its host name before its last @. Then what seems to be host, port and database is the
// rest of a password, and would be shown as such.
func torn(dsn string) bool {
	for _, scheme := range []string{"postgres://", "postgresql://"} {
		if rest, ok := strings.CutPrefix(dsn, scheme); ok {
			end := strings.IndexAny(rest, "/?#")
			return end >= 0 && strings.Contains(rest[end:], "@")
		}
	}
	return false
}

// migratePostgres brings the tables up to date while it holds a lock that others wait for who want the same. The lock
// belongs to a transaction rather than to a session, because a pooler may share out sessions.
func migratePostgres(ctx context.Context, config *pgx.ConnConfig) error {
	ctx, cancel := context.WithTimeout(ctx, postgresMigrating)
	defer cancel()
	config = config.Copy()
	config.Tracer = nil
	config.RuntimeParams["statement_timeout"] = "0"
	config.RuntimeParams["lock_timeout"] = "0"
	config.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	db := stdlib.OpenDB(*config)
	defer db.Close()

	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // it only holds the lock
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(postgresLock)); err != nil {
		return err
	}
	var encoding string
	var ours, foreign bool
	err = tx.QueryRowContext(ctx, `SELECT current_setting('server_encoding'),
		EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = $1),
		EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = current_schema()
			AND tablename IN ('accounts', 'sessions', 'keys', 'revoked_sessions', 'codes', 'invites', 'devices'))`,
		migrationTable).Scan(&encoding, &ours, &foreign)
	switch {
	case err != nil:
		return err
	case encoding != "UTF8":
		return fmt.Errorf("its encoding is %s; it has to be UTF8", encoding)
	case foreign && !ours:
		return errors.New("it has tables of another program; use another database or schema")
	case !ours:
		// Whoever may not make tables is told now, rather than after goose has tried for some seconds. This one goes
		// with the transaction.
		if _, err := tx.ExecContext(ctx, `CREATE TABLE chatgate_probe ()`); err != nil {
			return err
		}
	}
	migrations, err := fs.Sub(postgresMigrations, "migrations/postgres")
	if err != nil {
		return err
	}
	return dialect{goose.DialectPostgres, migrations}.migrate(ctx, db)
}

// postgresCode returns the SQLSTATE of an error of the server's, or "".
func postgresCode(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// postgresLostRace reports whether the server undid a transaction for the sake of another: a deadlock, which statements
// over several sessions can come to, a lock that did not come free, or a conflict. Two accounts that are given one address
// at once come to one as well: the second finds it taken when it tries again.
func postgresLostRace(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.ConstraintName == "accounts_email_hash_key" {
		return true
	}
	code := postgresCode(err)
	return code == "40P01" || code == "55P03" || code == "40001"
}

// explainPostgres puts what an operator can do something about before the server's own words.
func explainPostgres(err error) error {
	var hint string
	switch postgresCode(err) {
	case "28P01", "28000":
		hint = "the server does not let this user in, or not with this password"
	case "3D000":
		hint = "there is no such database"
	case "3F000":
		hint = "there is no schema to make tables in"
	case "42501":
		hint = "the user lacks a right"
	case "53300":
		hint = "the server has no connection left"
	case "25006":
		hint = "the server is read-only"
	case "55P03":
		hint = "somebody else has locked its tables, as a backup does"
	case "":
		_, connecting := errors.AsType[*pgconn.ConnectError](err)
		switch {
		case untrusted(err):
			hint = "the server's certificate is not to be trusted"
		case pgconn.Timeout(err), errors.Is(err, context.DeadlineExceeded):
			hint = "the server does not answer in time"
		case connecting:
			hint = "no connection could be made"
		default:
			return err
		}
	default:
		return err
	}
	return fmt.Errorf("%s: %w", hint, err)
}

// untrusted reports whether a connection failed for the server's certificate.
func untrusted(err error) bool {
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, name := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	return authority || name || invalid
}

// oneLine is an error whose text has no line breaks: the driver gives each host that it tried a line of its own.
type oneLine struct{ err error }

func (e oneLine) Error() string { return strings.Join(strings.Fields(e.err.Error()), " ") }

func (e oneLine) Unwrap() error { return e.err }
