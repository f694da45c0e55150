package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/sqlstore"
	"github.com/chatgate/chatgate/authcore/storetest"
	"github.com/chatgate/chatgate/internal/pgtest"
)

// quick is the longest that a failing call may take with the default limits, with room for a busy machine.
const quick = 3500 * time.Millisecond

func openPostgres(t *testing.T, dsn string) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.OpenPostgres(t.Context(), sqlstore.PostgresOptions{DSN: dsn})
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
	server := pgtest.Start(t)
	storetest.Run(t, func(t *testing.T) storetest.Stores {
		s := openPostgres(t, server.NewDatabase(t))
		return storetest.Stores{Accounts: s, Sessions: s, Keys: s}
	})
	t.Run("concurrent open", func(t *testing.T) {
		for range 3 {
			postgresConcurrentOpen(t, server.NewDatabase(t))
		}
	})
	t.Run("reopen", func(t *testing.T) { postgresReopen(t, server.NewDatabase(t)) })
	t.Run("deadlock", func(t *testing.T) { postgresDeadlock(t, server.NewDatabase(t)) })
	t.Run("locked", func(t *testing.T) { postgresLocked(t, server.NewDatabase(t)) })
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
		_, err := s.CreateAccount(t.Context(), newAccount("alice"))
		wantCode(t, err, "25006")
		if _, err := s.AccountByUsername(t.Context(), "alice"); authcore.KindOf(err) != authcore.KindUnknownAccount {
			t.Error(err)
		}
		refusedPostgres(t, server, server.NewDatabase(t)+"&default_transaction_read_only=on", "the server is read-only")
	})
	t.Run("refuses", func(t *testing.T) { postgresRefuses(t, server) })
}

// Stores that open an empty database at once bring it up to date together.
func postgresConcurrentOpen(t *testing.T, dsn string) {
	const n = 8
	errs := make(chan error, n)
	for i := range n {
		go func() {
			s, err := sqlstore.OpenPostgres(t.Context(), sqlstore.PostgresOptions{DSN: dsn})
			if err == nil {
				_, err = s.CreateAccount(t.Context(), newAccount(fmt.Sprintf("user%d", i)))
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
	a, err := s.CreateAccount(t.Context(), newAccount("alice"))
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
	if b, err := s.CreateAccount(t.Context(), newAccount("bob")); err != nil || b.Number <= a.Number {
		t.Errorf("number %d after %d, %v", b.Number, a.Number, err)
	}
}

// A store whose transaction the server undoes to resolve a deadlock tries again.
func postgresDeadlock(t *testing.T, dsn string) {
	s, raw := openPostgres(t, dsn), rawPostgres(t, dsn)
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
	time.Sleep(300 * time.Millisecond) // until the store has the first and waits for the second
	must(t, lock(first.ID))
	must(t, tx.Commit())
	must(t, <-touched)
	all, err := s.Sessions(t.Context(), "alice")
	must(t, err)
	for _, n := range all {
		if !n.LastSeenAt.Equal(at) {
			t.Errorf("session %s was not touched", n.ID)
		}
	}
	var deadlocks int
	for range 40 { // the statistics lag
		must(t, raw.QueryRow(`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).Scan(&deadlocks))
		if deadlocks > 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Error("this test made no deadlock")
}

// A lock that somebody else holds is waited for, but not longer than the limit, or than the caller wants to.
func postgresLocked(t *testing.T, dsn string) {
	s, raw := openPostgres(t, dsn), rawPostgres(t, dsn)
	tx, err := raw.Begin()
	must(t, err)
	_, err = tx.Exec(`LOCK TABLE accounts IN SHARE MODE`)
	must(t, err)
	a := newAccount("alice")
	start := time.Now()
	_, err = s.CreateAccount(t.Context(), a)
	wantCode(t, err, "57014")
	wantQuick(t, start)

	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start = time.Now()
	_, err = s.CreateAccount(ctx, a)
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > time.Second {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
	must(t, tx.Rollback())
	_, err = s.CreateAccount(t.Context(), a)
	must(t, err)
}

func postgresRefuses(t *testing.T, server *pgtest.Server) {
	newer, foreign := server.NewDatabase(t), server.NewDatabase(t)
	openPostgres(t, newer)
	_, err := rawPostgres(t, newer).Exec(`INSERT INTO chatgate_migrations (version_id, is_applied) VALUES (9999, true)`)
	must(t, err)
	_, err = rawPostgres(t, foreign).Exec(`CREATE TABLE accounts (name TEXT)`)
	must(t, err)
	server.Exec(t, `CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0`)
	server.Exec(t, `CREATE ROLE guest LOGIN PASSWORD 'guest-secret'`)
	guest := strings.Replace(server.NewDatabase(t), url.UserPassword(server.User, server.Password).String(), "guest:guest-secret", 1)
	password := server.Password
	for _, c := range []struct{ name, dsn, want string }{
		{"newer", newer, "its schema has version 9999, made by a newer chatgate; this one knows versions up to "},
		{"another program's", foreign, "it has tables of another program"},
		{"encoding", server.DSN("latin"), "its encoding is LATIN1; it has to be UTF8"},
		{"no right", guest, "the user lacks a right: "},
		{"no database", server.DSN("nowhere"), "there is no such database: "},
		{"no schema", server.NewDatabase(t) + "&search_path=nowhere", "there is no schema to make tables in: "},
		{"wrong password", strings.Replace(newer, password, "wrong-"+password, 1), "the server does not let this user in"},
		{"nothing", "", "there is no connection string"},
		{"no URL", "postgres://u:" + password + "%zz@127.0.0.1/x", "the connection string is malformed"},
		{"no port", "postgres://u:" + password + "@127.0.0.1:port/x", "the connection string is malformed"},
		{"slash in the password", "postgres://u:1/" + password + "@127.0.0.1/x", "the connection string is malformed: in a URL, "},
		{"no keyword", "host=127.0.0.1 password=" + password + " " + password, "the connection string is malformed"},
		{"no mode", "host=127.0.0.1 password=" + password + " sslmode=" + password, "the connection string is malformed"},
		{"pool option", "host=127.0.0.1 password=" + password + " pool_max_conns=x", "the connection string is malformed"},
		{"no file", newer + "&sslrootcert=/nowhere", "the connection string is malformed, or a file that it names cannot be read"},
		{"unreachable", "postgres://u:" + password + "@127.0.0.1:1/x", "no connection could be made: "},
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
	wantQuick(t, start)
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

func wantQuick(t *testing.T, start time.Time) {
	t.Helper()
	if took := time.Since(start); took > quick {
		t.Errorf("it took %v", took)
	}
}

// What happens to a store whose server goes away, in one way or another, and comes back.
func TestPostgresOutage(t *testing.T) {
	server := pgtest.Start(t, "max_connections=12", "superuser_reserved_connections=0")
	dsn := server.NewDatabase(t)
	s := openPostgres(t, dsn)
	alice, err := s.CreateAccount(t.Context(), newAccount("alice"))
	must(t, err)

	// fails checks that calls, many at once and one after the other, fail soon and say why.
	fails := func(t *testing.T) {
		t.Helper()
		const n = 20 // more than there are connections
		errs := make(chan error, 2*n)
		start := time.Now()
		for i := range n {
			go func() {
				_, err := s.AccountByID(t.Context(), alice.ID)
				errs <- err
			}()
			go func() {
				_, err := s.CreateAccount(t.Context(), newAccount(fmt.Sprintf("lost%d", i)))
				errs <- err
			}()
		}
		for range 2 * n {
			err := <-errs
			if err == nil || !strings.HasPrefix(err.Error(), "sqlstore: ") {
				t.Errorf("got %v", err)
			}
			if e, ok := errors.AsType[*authcore.Error](err); ok {
				t.Errorf("an outage looks like an answer: %v", e)
			}
			wantSecret(t, server, err)
		}
		if took := time.Since(start); took > quick+time.Second {
			t.Errorf("the calls took %v", took)
		}
		for range 2 {
			start := time.Now()
			if err := s.Ping(t.Context()); err == nil {
				t.Error("it answers")
			}
			wantQuick(t, start)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		start = time.Now()
		if _, err := s.AccountByID(ctx, alice.ID); err == nil || time.Since(start) > time.Second {
			t.Errorf("a caller in a hurry got %v after %v", err, time.Since(start))
		}
	}
	// recovers checks that the store works again by itself, with all that it was told is done.
	recovers := func(t *testing.T) {
		t.Helper()
		start := time.Now()
		for {
			got, err := s.AccountByID(t.Context(), alice.ID)
			if err == nil && got.ID == alice.ID {
				break
			}
			if time.Since(start) > 10*time.Second {
				t.Fatalf("it has not recovered: %v", err)
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Logf("it recovered after %v", time.Since(start))
		for i := range 20 {
			a := newAccount(fmt.Sprintf("lost%d", i))
			if _, err := s.CreateAccount(t.Context(), a); err != nil && authcore.KindOf(err) != authcore.KindUsernameTaken {
				t.Error(err)
			}
		}
	}

	t.Run("frozen", func(t *testing.T) {
		server.Freeze()
		defer server.Thaw()
		fails(t)
		refusedPostgres(t, server, dsn, "the server does not answer in time: ")
		server.Thaw()
		recovers(t)
	})
	t.Run("stopped", func(t *testing.T) {
		server.Stop()
		fails(t)
		server.Run(t)
		recovers(t)
	})
	t.Run("restarted", func(t *testing.T) {
		server.Stop()
		server.Run(t)
		recovers(t)
	})
	t.Run("too many connections", func(t *testing.T) {
		server.Stop() // and with it the connections that the store has
		server.Run(t)
		var held []*pgx.Conn
		for {
			c, err := pgx.Connect(t.Context(), dsn)
			if err != nil {
				break
			}
			held = append(held, c)
		}
		fails(t)
		wantCode(t, s.Ping(t.Context()), "53300")
		refusedPostgres(t, server, dsn, "the server has no connection left: ")
		for _, c := range held {
			must(t, c.Close(context.Background()))
		}
		recovers(t)
	})
}
