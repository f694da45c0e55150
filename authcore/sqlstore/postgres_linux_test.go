package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/sqlstore"
	"github.com/chatgate/chatgate/authcore/storetest"
	"github.com/chatgate/chatgate/internal/pgtest"
)

func openPostgres(t *testing.T, dsn string) *sqlstore.Store {
	t.Helper()
	return openPostgresWith(t, sqlstore.PostgresOptions{DSN: dsn})
}

func openPostgresWith(t *testing.T, o sqlstore.PostgresOptions) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.OpenPostgres(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

// rawPostgres is a connection without any of the store's doings.
func rawPostgres(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	must(t, err)
	db := stdlib.OpenDB(*config)
	t.Cleanup(func() { must(t, db.Close()) })
	return db
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	// What a store does is the matter here, not how fast a busy machine does it.
	s := openPostgresWith(t, sqlstore.PostgresOptions{
		DSN: server.NewDatabase(t), ConnectTimeout: 10 * time.Second, StatementTimeout: 10 * time.Second,
	})
	storetest.Run(t, func(t *testing.T) storetest.Stores {
		_, err := s.Writer().Exec(`TRUNCATE accounts, sessions, revoked_sessions, codes, invites, devices, networks, keys RESTART IDENTITY`)
		must(t, err)
		return allOf(s)
	})
	t.Run("concurrent open", func(t *testing.T) {
		for range 3 {
			postgresConcurrentOpen(t, server.NewDatabase(t))
		}
	})
	t.Run("reopen", func(t *testing.T) { postgresReopen(t, server.NewDatabase(t)) })
	t.Run("upgrade", func(t *testing.T) { postgresUpgrade(t, server) })
	t.Run("keeps revocations", func(t *testing.T) {
		dsn := server.NewDatabase(t)
		keepsRevocations(t, func() (*sqlstore.Store, error) {
			return sqlstore.OpenPostgres(t.Context(), sqlstore.PostgresOptions{DSN: dsn})
		})
	})
	t.Run("deadlock/given up", func(t *testing.T) { postgresDeadlock(t, server.NewDatabase(t), 2500*time.Millisecond, false) })
	t.Run("deadlock/noticed", func(t *testing.T) { postgresDeadlock(t, server.NewDatabase(t), 10*time.Second, true) })
	t.Run("locked", func(t *testing.T) { postgresLocked(t, server.NewDatabase(t)) })
	t.Run("slow", func(t *testing.T) { postgresSlow(t, server.NewDatabase(t)) })
	t.Run("any user agent", func(t *testing.T) {
		s := openPostgres(t, server.NewDatabase(t))
		n := newSession("alice")
		n.UserAgent = "caf\xe9"
		must(t, s.CreateSession(t.Context(), n))
		got, err := s.Session(t.Context(), n.Account, n.ID)
		if err != nil || got.UserAgent != "caf\ufffd" {
			t.Errorf("%q, %v", got.UserAgent, err)
		}
	})
	t.Run("read-only", func(t *testing.T) {
		dsn := server.NewDatabase(t)
		openPostgres(t, dsn)
		s := openPostgres(t, dsn+"&default_transaction_read_only=on")
		_, err := s.CreateAccount(t.Context(), newAccount("alice"), authcore.Creation{})
		wantCode(t, err, "25006")
		if _, err := s.AccountByUsername(t.Context(), "alice"); authcore.KindOf(err) != authcore.KindUnknownAccount {
			t.Error(err)
		}
		refusedPostgres(t, server, server.NewDatabase(t)+"&default_transaction_read_only=on", "the server is read-only")
	})
	t.Run("refuses", func(t *testing.T) { postgresRefuses(t, server) })
	t.Run("rights", func(t *testing.T) { postgresRights(t, server) })
}

// A user who does not own the tables needs the right to use all of them, and no other.
func postgresRights(t *testing.T, server *pgtest.Server) {
	dsn := server.NewDatabase(t)
	openPostgres(t, dsn)
	owner := rawPostgres(t, dsn)
	clerk := strings.Replace(dsn, url.UserPassword(server.User, server.Password).String(), "clerk:clerk-secret", 1)
	for _, c := range []struct{ statement, want string }{
		{`CREATE ROLE clerk LOGIN PASSWORD 'clerk-secret'`, "the user lacks a privilege; grant it CREATE on the schema, or the use of every table in it: "},
		{`GRANT SELECT ON ALL TABLES IN SCHEMA public TO clerk`, "the user lacks privileges: DELETE on accounts, INSERT on accounts, UPDATE on accounts, DELETE on codes,"},
		{`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO clerk`, ""},
		{`REVOKE DELETE ON sessions FROM clerk`, "the user lacks privileges: DELETE on sessions; as the owner of the tables, GRANT "},
		{`GRANT DELETE ON sessions TO clerk`, ""},
	} {
		_, err := owner.Exec(c.statement)
		must(t, err)
		if c.want != "" {
			refusedPostgres(t, server, clerk, c.want)
			continue
		}
		s := openPostgres(t, clerk)
		a, err := s.CreateAccount(t.Context(), newAccount(fmt.Sprintf("user%d", time.Now().UnixNano())), authcore.Creation{})
		must(t, err)
		must(t, s.CreateSession(t.Context(), newSession(a.ID)))
		_, err = s.DeleteExpired(t.Context(), time.Now())
		must(t, err)
	}
}

// Stores that open an empty database at once bring it up to date together.
func postgresConcurrentOpen(t *testing.T, dsn string) {
	const n = 8
	errs := make(chan error, n)
	for i := range n {
		go func() {
			s, err := sqlstore.OpenPostgres(t.Context(), sqlstore.PostgresOptions{DSN: dsn})
			if err == nil {
				_, err = s.CreateAccount(t.Context(), newAccount(fmt.Sprintf("user%d", i)), authcore.Creation{})
				err = errors.Join(err, s.Close())
			}
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	s := openPostgres(t, dsn)
	for i := range n {
		if _, err := s.AccountByUsername(t.Context(), authcore.Username(fmt.Sprintf("user%d", i))); err != nil {
			t.Error(err)
		}
	}
	wantPostgresMigratedOnce(t, s)
}

func wantPostgresMigratedOnce(t *testing.T, s *sqlstore.Store) {
	t.Helper()
	migrations, err := filepath.Glob("migrations/postgres/*.sql")
	must(t, err)
	var rows int
	must(t, s.Reader().QueryRow(`SELECT count(*) FROM chatgate_migrations`).Scan(&rows))
	if rows != len(migrations)+1 { // and version 0, for the table itself
		t.Errorf("%d migrations are recorded, want %d", rows, len(migrations)+1)
	}
}

func postgresReopen(t *testing.T, dsn string) {
	s, err := sqlstore.OpenPostgres(t.Context(), sqlstore.PostgresOptions{DSN: dsn})
	must(t, err)
	a, err := s.CreateAccount(t.Context(), newAccount("alice"), authcore.Creation{})
	must(t, err)
	must(t, s.Close())
	must(t, s.Close())
	if err := s.Ping(t.Context()); err == nil {
		t.Error("a closed store answers")
	}
	s = openPostgres(t, dsn)
	// A number stays spent, even if its account was removed by hand.
	_, err = s.Writer().Exec(`DELETE FROM accounts`)
	must(t, err)
	if b, err := s.CreateAccount(t.Context(), newAccount("bob"), authcore.Creation{}); err != nil || b.Number <= a.Number {
		t.Errorf("number %d after %d, %v", b.Number, a.Number, err)
	}
}

// A store whose transaction the server undoes, to resolve a deadlock or because a lock did not come free, tries again.
func postgresDeadlock(t *testing.T, dsn string, statement time.Duration, noticed bool) {
	s, raw := openPostgresWith(t, sqlstore.PostgresOptions{DSN: dsn, StatementTimeout: statement}), rawPostgres(t, dsn)
	first, second := newSession("alice"), newSession("alice")
	first.ID, second.ID = "1", "2"
	must(t, s.CreateSession(t.Context(), first))
	must(t, s.CreateSession(t.Context(), second))

	tx, err := raw.Begin()
	must(t, err)
	_, err = tx.Exec(`SET LOCAL deadlock_timeout = '1min'`) // so that the other one notices, and is the victim
	must(t, err)
	lock := func(id authcore.SessionID) error {
		_, err := tx.Exec(`UPDATE sessions SET last_seen_at = last_seen_at WHERE id = $1`, string(id))
		return err
	}
	must(t, lock(second.ID))
	at := first.LastSeenAt.Add(time.Minute)
	touched := make(chan error, 1)
	go func() {
		touched <- s.TouchSessions(t.Context(), []authcore.Touch{
			{Account: "alice", Session: first.ID, At: at}, {Account: "alice", Session: second.ID, At: at},
		})
	}()
	eventually(t, "the store waits for the second", func() bool {
		var waits bool
		must(t, raw.QueryRow(`SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)`).Scan(&waits))
		return waits
	})
	must(t, lock(first.ID)) // which the store has
	must(t, tx.Commit())
	must(t, <-touched)
	all, err := s.Sessions(t.Context(), "alice")
	must(t, err)
	for _, n := range all {
		if !n.LastSeenAt.Equal(at) {
			t.Errorf("session %s was not touched", n.ID)
		}
	}
	if noticed {
		eventually(t, "this test made a deadlock", func() bool {
			var deadlocks int
			must(t, raw.QueryRow(`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).Scan(&deadlocks))
			return deadlocks > 0
		})
	}
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// A lock that somebody else holds is waited for, but not longer than the limit, or than the caller wants to.
func postgresLocked(t *testing.T, dsn string) {
	s, raw := openPostgres(t, dsn), rawPostgres(t, dsn)
	tx, err := raw.Begin()
	must(t, err)
	_, err = tx.Exec(`LOCK TABLE accounts IN SHARE MODE`)
	must(t, err)
	a := newAccount("alice")
	soon(t, "a table that is locked", longest, func() {
		if _, err := s.CreateAccount(t.Context(), a, authcore.Creation{}); err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	soon(t, "a table that is locked, for a caller in a hurry", time.Second, func() {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if _, err := s.CreateAccount(ctx, a, authcore.Creation{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	must(t, tx.Rollback())
	eventually(t, "it works again", func() bool {
		_, err := s.CreateAccount(t.Context(), a, authcore.Creation{})
		return err == nil
	})
}

// A statement that takes too long is ended by the server, and the connection lives on.
func postgresSlow(t *testing.T, dsn string) {
	s, raw := openPostgres(t, dsn), rawPostgres(t, dsn)
	_, err := raw.Exec(`CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END';
		CREATE TRIGGER slow BEFORE INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION slow()`)
	must(t, err)
	soon(t, "a slow statement", longest, func() {
		if err := s.CreateSession(t.Context(), newSession("alice")); err == nil {
			t.Error("it was not slow")
		}
	})
	// With time to hear of it, it is the server who says so.
	s = openPostgresWith(t, sqlstore.PostgresOptions{DSN: dsn, StatementTimeout: 300 * time.Millisecond, ConnectTimeout: 20 * time.Second})
	wantCode(t, s.CreateSession(t.Context(), newSession("alice")), "57014")
}

func init() {
	roles["open postgres"] = func(dsn string) error {
		s, err := sqlstore.OpenPostgres(context.Background(), sqlstore.PostgresOptions{DSN: dsn})
		if err != nil {
			return err
		}
		fmt.Println("opened")
		return s.Close()
	}
}

func postgresUpgrade(t *testing.T, server *pgtest.Server) {
	for _, version := range []int64{1, 2, 3, 4, 5} {
		dsn := server.NewDatabase(t)
		old := rawPostgres(t, dsn)
		o := makeOlder(t, old, goose.DialectPostgres, filepath.Join("migrations", "postgres"), version)
		if version == 1 {
			postgresUpgradeRead(t, old, dsn)
		}
		s := o.upgrade(t, func() (*sqlstore.Store, error) {
			return sqlstore.OpenPostgres(t.Context(), sqlstore.PostgresOptions{DSN: dsn})
		})
		wantPostgresMigratedOnce(t, s)
	}
	dsn := server.NewDatabase(t)
	o := makeOlder(t, rawPostgres(t, dsn), goose.DialectPostgres, filepath.Join("migrations", "postgres"), 2)
	openInProcesses(t, "open postgres", dsn)
	s := openPostgres(t, dsn)
	o.check(t, s)
	wantPostgresMigratedOnce(t, s)
	postgresUpgradeReleased(t, server.NewDatabase(t))
}

// postgresUpgradeReleased upgrades a database with the rows of [schema4].
func postgresUpgradeReleased(t *testing.T, dsn string) {
	db := rawPostgres(t, dsn)
	p, err := goose.NewProvider(goose.DialectPostgres, db, os.DirFS(filepath.Join("migrations", "postgres")),
		goose.WithTableName("chatgate_migrations"), goose.WithDisableGlobalRegistry(true))
	must(t, err)
	_, err = p.UpTo(t.Context(), 4)
	must(t, err)
	_, from := releasedSQLite(t)
	for table := range dump(t, from) {
		for _, row := range rowsOf(t, from, `SELECT * FROM `+table) {
			names := slices.Sorted(maps.Keys(row))
			var places []string
			var values []any
			for i, name := range names {
				places, values = append(places, fmt.Sprintf("$%d", i+1)), append(values, row[name])
			}
			_, err := db.Exec(fmt.Sprintf(`INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE VALUES (%s)`,
				table, strings.Join(names, ", "), strings.Join(places, ", ")), values...)
			must(t, err)
		}
	}
	_, err = db.Exec(`SELECT setval(pg_get_serial_sequence('accounts', 'number'), 13)`)
	must(t, err)
	before := dump(t, db)
	s := openPostgres(t, dsn)
	checkReleased(t, s, before, dump(t, db))
	wantPostgresMigratedOnce(t, s)
}

// Somebody who reads the tables for long, as a backup does, is not waited for by a migration that changes them: whoever
// else uses them would wait, too.
func postgresUpgradeRead(t *testing.T, old *sql.DB, dsn string) {
	tx, err := old.Begin()
	must(t, err)
	_, err = tx.Exec(`SELECT * FROM accounts`)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if s, err := sqlstore.OpenPostgres(ctx, sqlstore.PostgresOptions{DSN: dsn}); err == nil {
		must(t, s.Close())
		t.Fatal("it was upgraded under a reader")
	} else if !strings.Contains(err.Error(), "another client, such as a backup, has locked the tables") {
		t.Error(err)
	}
	must(t, tx.Rollback())
}

func postgresRefuses(t *testing.T, server *pgtest.Server) {
	newer, foreign, invited := server.NewDatabase(t), server.NewDatabase(t), server.NewDatabase(t)
	openPostgres(t, newer)
	_, err := rawPostgres(t, newer).Exec(`INSERT INTO chatgate_migrations (version_id, is_applied) VALUES (9999, true)`)
	must(t, err)
	_, err = rawPostgres(t, foreign).Exec(`CREATE TABLE accounts (name TEXT)`)
	must(t, err)
	_, err = rawPostgres(t, invited).Exec(`CREATE TABLE invites (name TEXT)`)
	must(t, err)
	server.Exec(t, `CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0`)
	server.Exec(t, `CREATE ROLE guest LOGIN PASSWORD 'guest-secret'`)
	guest := strings.Replace(server.NewDatabase(t), url.UserPassword(server.User, server.Password).String(), "guest:guest-secret", 1)
	password := server.Password
	for _, c := range []struct{ name, dsn, want string }{
		{"newer", newer, "its schema has version 9999, from a newer chatgate; this one supports versions up to "},
		{"another program's", foreign, "it has tables of another program"},
		{"another program's invites", invited, "it has tables of another program"},
		{"encoding", server.DSN("latin"), "its encoding is LATIN1; it has to be UTF8"},
		{"no right", guest, "the user lacks a privilege; grant it CREATE on the schema, or the use of every table in it: "},
		{"no database", server.DSN("nowhere"), "there is no such database; create it: "},
		{"no schema", server.NewDatabase(t) + "&search_path=nowhere", "there is no schema for the tables; create it, or set search_path: "},
		{"wrong password", strings.Replace(newer, password, "wrong-"+password, 1), "the server refuses the user or the password"},
		{"nothing", "", "there is no connection string"},
		{"no URL", "postgres://u:" + password + "%zz@127.0.0.1/x", "the connection string is malformed"},
		{"no port", "postgres://u:" + password + "@127.0.0.1:port/x", "the connection string is malformed"},
		{"slash in the password", "postgres://u:1/" + password + "@127.0.0.1/x", "the connection string is malformed; in a URL, "},
		{"no keyword", "host=127.0.0.1 password=" + password + " " + password, "the connection string is malformed"},
		{"no mode", "host=127.0.0.1 password=" + password + " sslmode=" + password, "the connection string is malformed"},
		{"pool option", "host=127.0.0.1 password=" + password + " pool_max_conns=x", "the connection string is malformed"},
		{"no file", newer + "&sslrootcert=/nowhere", "the connection string is malformed, or a file that it names cannot be read"},
		{"unreachable", "postgres://u:" + password + "@127.0.0.1:1/x", "the server cannot be reached: "},
	} {
		t.Run(c.name, func(t *testing.T) { refusedPostgres(t, server, c.dsn, c.want) })
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sqlstore.OpenPostgres(ctx, sqlstore.PostgresOptions{DSN: newer}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// refusedPostgres checks that a database cannot be opened, and that the error says why in a line without a secret.
func refusedPostgres(t *testing.T, server *pgtest.Server, dsn, reason string) {
	t.Helper()
	start := time.Now()
	s, err := sqlstore.OpenPostgres(t.Context(), sqlstore.PostgresOptions{DSN: dsn})
	if err == nil {
		must(t, s.Close())
		t.Fatal("it was opened")
	}
	if took := time.Since(start); took > 10*time.Second { // four times what it takes at most, for a busy machine
		t.Errorf("it took %v", took)
	}
	if msg := err.Error(); !strings.HasPrefix(msg, "sqlstore: cannot use the PostgreSQL database: "+reason) || strings.Contains(msg, "\n") {
		t.Errorf("got %q, want it to say %q", msg, reason)
	}
	wantSecret(t, server, err)
}

func wantSecret(t *testing.T, server *pgtest.Server, err error) {
	t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		if text := e.Error() + fmt.Sprintf("%+v", e); strings.Contains(text, server.Password) || strings.Contains(text, "guest-secret") || strings.Contains(text, "sslmode=") {
			t.Errorf("the error shows the connection string: %q", text)
		}
	}
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != code || !strings.HasPrefix(err.Error(), "sqlstore: ") {
		t.Errorf("got %v, want SQLSTATE %s", err, code)
	}
}

// longest is what a call may take with the default limits.
const longest = 1600 * time.Millisecond

// soon checks that f takes no longer than limit. A busy machine may make it look longer, so the best of several tries
// counts, and may be half a second late.
func soon(t *testing.T, what string, limit time.Duration, f func()) {
	t.Helper()
	best, allowed := time.Hour, limit+500*time.Millisecond
	for begun := time.Now(); best > allowed && time.Since(begun) < 10*allowed; {
		start := time.Now()
		f()
		best = min(best, time.Since(start))
	}
	t.Logf("%s: %v", what, best.Round(time.Millisecond))
	if best > allowed {
		t.Errorf("%s: it took %v, want %v", what, best, limit)
	}
}
