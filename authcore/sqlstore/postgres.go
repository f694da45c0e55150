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
	postgresLock      = 0x63686174_67617465 // "chatgate": the advisory lock of migrations
	postgresMigrating = 10 * time.Minute    // maximum of a migration, including the wait for those of other processes
	postgresLooking   = time.Minute         // maximum of finding out what the other end is, beside the limit of each host
	postgresForgotten = 10 * time.Second    // after which the server ends an idle transaction
	postgresReadOnly  = 5 * time.Second     // after which a connection that cannot write is replaced

	postgresSlack       = 250 * time.Millisecond // lets an error of the server or the driver come before ours
	postgresCommitSlack = 50 * time.Millisecond  // how much longer than the caller's deadline a commit may take
)

// PostgresOptions are the database to use and how long to wait for it.
type PostgresOptions struct {
	// DSN is a URL (postgres://user:password@host:port/database?sslmode=verify-full) or keywords and values, as for libpq.
	// It holds a password, so no error and no log shows it.
	DSN string

	MaxConns int // connections at most; 16 if zero

	// No call takes longer than these two together.
	ConnectTimeout   time.Duration // for a new or a free connection; 750 ms if zero
	StatementTimeout time.Duration // for the answer to a statement; 750 ms if zero
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
	pooled, err := behindPooler(ctx, config.ConnConfig)
	if err != nil {
		return nil, err
	}
	begin := ""
	if pooled {
		begin = o.settings().pool(config.ConnConfig)
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	db := stdlib.OpenDBFromPool(pool)
	s := &Store{
		write: db, read: db, begin: begin, release: pool.Close, limit: o.ConnectTimeout + o.StatementTimeout, lostRace: postgresLostRace,
		advise: postgresAdvise,
	}
	defer func() {
		if err != nil {
			_ = s.Close() // err is the cause
		}
	}()
	// A migration needs a longer timeout than the pool has.
	if err := db.PingContext(ctx); err != nil {
		return nil, err
	}
	if err := migratePostgres(ctx, config.ConnConfig, pooled); err != nil {
		return nil, err
	}
	if err := s.readDisplayNames(ctx); err != nil {
		return nil, err
	}
	s.prepared()
	if err := s.checkRights(ctx); err != nil {
		return nil, err
	}
	return s, s.Ping(ctx)
}

func (o PostgresOptions) withDefaults() PostgresOptions {
	o.MaxConns = cmp.Or(o.MaxConns, 16)
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, 750*time.Millisecond)
	o.StatementTimeout = cmp.Or(o.StatementTimeout, 750*time.Millisecond)
	return o
}

// config checks the options and converts them for the driver.
func (o PostgresOptions) config() (*pgxpool.Config, error) {
	if o.MaxConns < 0 || o.MaxConns > math.MaxInt32 || o.ConnectTimeout < 0 || o.StatementTimeout < 0 {
		return nil, errors.New("a limit is out of range")
	}
	if o.DSN == "" {
		return nil, errors.New("there is no connection string; write one, such as postgres://user@host/database")
	}
	if torn(o.DSN) {
		return nil, errors.New("the connection string is malformed; in a URL, percent-encode / ? # and @ in a user name, a password or a parameter")
	}
	config, err := pgxpool.ParseConfig(o.DSN)
	if err != nil {
		// The error quotes what it did not understand, which may be the password.
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
	// The driver's error about a slow connection says more than a deadline does, and the server's about a slow statement
	// keeps the connection, so both get to come first.
	c.Tracer = limiter{acquire: o.ConnectTimeout + postgresSlack, statement: o.StatementTimeout + postgresSlack}
	o.settings().start(c)
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "chatgate"
	}
	return config, nil
}

// inMillis formats a limit for the server. Zero would mean none.
func inMillis(d time.Duration) string { return strconv.FormatInt(max(d.Milliseconds(), 1), 10) }

// torn reports whether the host of a URL ends before its last @. Then its apparent host, port or database is the rest of a
// password, and errors would show it.
func torn(dsn string) bool {
	for _, scheme := range []string{"postgres://", "postgresql://"} {
		if rest, ok := strings.CutPrefix(dsn, scheme); ok {
			end := strings.IndexAny(rest, "/?#")
			return end >= 0 && strings.Contains(rest[end:], "@")
		}
	}
	return false
}

// migratePostgres brings the tables up to date while it holds a lock, for which other processes wait. A transaction holds
// the lock rather than a session, because poolers share sessions.
func migratePostgres(ctx context.Context, config *pgx.ConnConfig, pooled bool) error {
	ctx, cancel := context.WithTimeout(ctx, postgresMigrating)
	defer cancel()
	config = config.Copy()
	config.Tracer = nil
	if !pooled { // else the server has its own settings, which limit nothing by default
		config.RuntimeParams["statement_timeout"] = "0"
		config.RuntimeParams["lock_timeout"] = "0"
		config.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	}
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
		// Without the right to create tables this fails now, rather than after goose has tried for some seconds. The
		// table goes with the transaction.
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

// postgresCode returns the SQLSTATE of an error of the server, or "".
func postgresCode(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// postgresLostRace reports whether the server rolled a transaction back for another: after a deadlock, which statements
// on several sessions can cause, a lock that was not released in time, or a conflict.
func postgresLostRace(err error) bool {
	code := postgresCode(err)
	return code == "40P01" || code == "55P03" || code == "40001"
}

// explainPostgres puts what an error means, and what to do, before the server's own words.
func explainPostgres(err error) error {
	var hint string
	switch postgresCode(err) {
	case "28P01", "28000":
		hint = "the server refuses the user or the password"
	case "3D000":
		hint = "there is no such database; create it"
	case "3F000":
		hint = "there is no schema for the tables; create it, or set search_path"
	case "42501":
		hint = "the user lacks a privilege; grant it CREATE on the schema, or the use of every table in it"
	case "08P01":
		if !unsupportedParameter(err) {
			return err
		}
		hint = "the pooler before the server does not pass a parameter of the connection string on; take it out, and set it with ALTER ROLE … SET"
	case "53300":
		hint = "the server has no connection left; raise its max_connections, or lower max_conns"
	case "25006":
		hint = "the server is read-only; name the primary"
	case "55P03":
		hint = "another client, such as a backup, has locked the tables; try again when it is done"
	case "":
		_, connecting := errors.AsType[*pgconn.ConnectError](err)
		switch {
		case untrusted(err):
			hint = "the server's certificate is not trusted; check the host, and sslrootcert"
		case pgconn.Timeout(err), errors.Is(err, context.DeadlineExceeded):
			hint = "the server does not answer in time"
		case connecting:
			hint = "the server cannot be reached"
		default:
			return err
		}
	default:
		return err
	}
	return fmt.Errorf("%s: %w", hint, err)
}

// untrusted reports whether a connection failed because of the server's certificate.
func untrusted(err error) bool {
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, name := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	return authority || name || invalid
}

// oneLine removes the line breaks from an error: the driver writes one line for each host that it tried.
type oneLine struct{ err error }

func (e oneLine) Error() string { return strings.Join(strings.Fields(e.err.Error()), " ") }

func (e oneLine) Unwrap() error { return e.err }
