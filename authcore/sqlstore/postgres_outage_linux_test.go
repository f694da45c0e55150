package sqlstore_test

import (
	"context"
	crand "crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/sqlstore"
	"github.com/chatgate/chatgate/internal/certtest"
	"github.com/chatgate/chatgate/internal/pgtest"
)

// hurry is the time that callers give a call; then it has to be over within a second.
const hurry = 900 * time.Millisecond

// outage is a store whose server goes away, in one way or another, and comes back.
type outage struct {
	server *pgtest.Server
	dsn    string
	s      *sqlstore.Store
	alice  authcore.Account
}

func newOutage(t *testing.T, server *pgtest.Server, dsn string) *outage {
	o := &outage{server: server, dsn: dsn, s: openPostgres(t, dsn)}
	var err error
	o.alice, err = o.s.CreateAccount(t.Context(), newAccount("alice"), authcore.Creation{})
	must(t, err)
	return o
}

// calls are one of each kind.
func (o *outage) calls() map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"Ping":        o.s.Ping,
		"AccountByID": func(ctx context.Context) error { _, err := o.s.AccountByID(ctx, o.alice.ID); return err },
		"Sessions":    func(ctx context.Context) error { _, err := o.s.Sessions(ctx, o.alice.ID); return err },
		"Keys":        func(ctx context.Context) error { _, err := o.s.Keys(ctx, authcore.KeySigning); return err },
		"SessionAccount": func(ctx context.Context) error {
			_, _, err := o.s.SessionAccount(ctx, o.alice.ID, "session")
			return err
		},
		"CreateSession": func(ctx context.Context) error { return o.s.CreateSession(ctx, newSession(o.alice.ID)) },
		"RevokeSession": func(ctx context.Context) error {
			return o.s.RevokeSession(ctx, o.alice.ID, "session", time.Now().Add(time.Hour))
		},
		"RevokeSessions": func(ctx context.Context) error {
			_, _, err := o.s.RevokeSessions(ctx, o.alice.ID, authcore.Session{})
			return err
		},
		"CreateAccount": func(ctx context.Context) error {
			_, err := o.s.CreateAccount(ctx, newAccount("bob"), authcore.Creation{Invite: []byte("no invite")})
			return but(err, authcore.KindBadInvite)
		},
		"Invites": func(ctx context.Context) error { _, err := o.s.Invites(ctx); return err },
		"PutCode": func(ctx context.Context) error {
			return o.s.PutCode(ctx, authcore.Code{Request: authcore.RequestID(crand.Text()), Account: o.alice.ID, Purpose: "code", Hash: []byte("code")})
		},
		"ResetPassword": func(ctx context.Context) error {
			_, err := o.s.ResetPassword(ctx, "no request", []byte("code"), "hash", time.Now())
			return but(err, authcore.KindBadCode)
		},
		"NoteDevice": func(ctx context.Context) error {
			_, _, err := o.s.NoteDevice(ctx, o.alice.ID, []byte(crand.Text()), time.Now())
			return err
		},
	}
}

// but takes an answer of that kind for none that failed.
func but(err error, kind authcore.Kind) error {
	if e, ok := errors.AsType[*authcore.Error](err); ok && e.Kind == kind {
		return nil
	}
	return err
}

// check looks at the error of a call that failed as it should.
func (o *outage) check(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil || !strings.HasPrefix(err.Error(), "sqlstore: ") {
		t.Errorf("%s: got %v", what, err)
	}
	if e, ok := errors.AsType[*authcore.Error](err); ok {
		t.Errorf("%s: an outage looks like an answer: %v", what, e)
	}
	wantSecret(t, o.server, err)
}

// fails checks that calls, many at once and one after the other, fail soon and say why.
func (o *outage) fails(t *testing.T) {
	t.Helper()
	soon(t, "many calls", longest, func() { o.failMany(t, time.Hour) })
	o.failsInHurry(t)
	for _, what := range []string{"SessionAccount", "RevokeSession"} {
		soon(t, what, longest, func() { o.check(t, what, o.calls()[what](t.Context())) })
		soon(t, what+" in a hurry", time.Second, func() {
			ctx, cancel := context.WithTimeout(t.Context(), hurry)
			defer cancel()
			o.check(t, what, o.calls()[what](ctx))
		})
	}
}

func (o *outage) failsInHurry(t *testing.T) {
	t.Helper()
	soon(t, "many calls in a hurry", time.Second, func() { o.failMany(t, hurry) })
}

func (o *outage) failMany(t *testing.T, timeout time.Duration) {
	var done sync.WaitGroup
	for range 5 { // more than there are connections
		for what, call := range o.calls() {
			done.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				defer cancel()
				o.check(t, what, call(ctx))
			})
		}
	}
	done.Wait()
}

// recovers checks that the store works again by itself, with all of its connections and all that it was told is done.
func (o *outage) recovers(t *testing.T) {
	t.Helper()
	start := time.Now()
	for what, call := range o.calls() {
		eventually(t, what+" works again", func() bool { return call(t.Context()) == nil })
	}
	t.Logf("every call worked again after %v", time.Since(start).Round(time.Millisecond))
	if got, err := o.s.AccountByID(t.Context(), o.alice.ID); err != nil || got.Username != "alice" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestPostgresOutage(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, "max_connections=12", "superuser_reserved_connections=0")
	o := newOutage(t, server, server.NewDatabase(t))

	t.Run("frozen", func(t *testing.T) {
		server.Freeze()
		defer server.Thaw()
		o.fails(t)
		refusedPostgres(t, server, o.dsn, "the server does not answer in time: ")
		server.Thaw()
		o.recovers(t)
	})
	t.Run("stopped", func(t *testing.T) {
		server.Stop()
		o.fails(t)
		server.Run(t)
		o.recovers(t)
	})
	t.Run("restarted", func(t *testing.T) {
		server.Stop()
		server.Run(t)
		o.recovers(t)
	})
	t.Run("too many connections", func(t *testing.T) {
		server.Stop() // and with it the connections that the store has
		server.Run(t)
		var held []*pgx.Conn
		for {
			c, err := pgx.Connect(t.Context(), o.dsn)
			if err != nil {
				break
			}
			held = append(held, c)
		}
		o.fails(t)
		wantCode(t, o.s.Ping(t.Context()), "53300")
		refusedPostgres(t, server, o.dsn, "the server has no connection left; raise its max_connections, or lower max_conns: ")
		for _, c := range held {
			must(t, c.Close(context.Background()))
		}
		o.recovers(t)
	})
	t.Run("read-only", func(t *testing.T) { o.readOnly(t) })
	t.Run("frozen while it commits", func(t *testing.T) { o.frozenCommit(t) })
}

// readOnly makes the database read-only, as some services do with one that has filled its disk, and takes that back.
func (o *outage) readOnly(t *testing.T) {
	u, err := url.Parse(o.dsn)
	must(t, err)
	name := strings.TrimPrefix(u.Path, "/")
	o.server.Exec(t, `ALTER DATABASE `+name+` SET default_transaction_read_only = on`)
	o.server.Exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '`+name+`'`)
	for _, what := range []string{"Ping", "AccountByID", "Sessions", "SessionAccount", "Invites"} {
		eventually(t, what+" works", func() bool { return o.calls()[what](t.Context()) == nil })
	}
	for _, what := range []string{"CreateSession", "RevokeSession", "RevokeSessions", "CreateAccount", "PutCode", "ResetPassword", "NoteDevice"} {
		var err error
		eventually(t, what+" says why", func() bool {
			err = o.calls()[what](t.Context())
			return err != nil && strings.Contains(err.Error(), "read-only")
		})
		wantCode(t, err, "25006")
	}
	o.server.Exec(t, `ALTER DATABASE `+name+` RESET default_transaction_read_only`)
	o.recovers(t) // though connections of that time are there
}

// frozenCommit stops the server when a commit has begun.
func (o *outage) frozenCommit(t *testing.T) {
	raw := rawPostgres(t, o.dsn)
	sleepAtCommit(t, raw, time.Minute)
	lost := func(ctx context.Context, s *sqlstore.Store) {
		_, err := raw.Exec(`SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE wait_event = 'PgSleep'`)
		must(t, err)
		done := make(chan error, 1)
		go func() { done <- s.CreateSession(ctx, newSession(o.alice.ID)) }()
		waitForCommit(t, raw, done)
		o.server.Freeze()
		defer o.server.Thaw()
		o.check(t, "a commit that was lost", <-done)
	}
	inHurry := func(s *sqlstore.Store) {
		ctx, cancel := context.WithTimeout(t.Context(), hurry)
		defer cancel()
		lost(ctx, s)
	}
	soon(t, "a commit that was lost", longest, func() { lost(t.Context(), o.s) })
	soon(t, "a commit that was lost, in a hurry", time.Second, func() { inHurry(o.s) })
	// Whatever the limits are, it is the caller who has no time.
	patient := openPostgresWith(t, sqlstore.PostgresOptions{DSN: o.dsn, ConnectTimeout: 10 * time.Second, StatementTimeout: 10 * time.Second})
	soon(t, "a commit that was lost, in a hurry, with other limits", time.Second, func() { inHurry(patient) })
	_, err := raw.Exec(`DROP TRIGGER sleepy ON sessions`)
	must(t, err)
	o.recovers(t)
}

// sleepAtCommit lets every transaction that makes a session sleep before it is committed.
func sleepAtCommit(t *testing.T, raw *sql.DB, d time.Duration) {
	t.Helper()
	_, err := raw.Exec(fmt.Sprintf(`CREATE OR REPLACE FUNCTION sleepy() RETURNS trigger LANGUAGE plpgsql
			AS 'BEGIN PERFORM pg_sleep(%f); RETURN NULL; END';
		CREATE CONSTRAINT TRIGGER sleepy AFTER INSERT ON sessions DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
			EXECUTE FUNCTION sleepy()`, d.Seconds()))
	must(t, err)
}

// waitForCommit waits until a transaction sleeps, or a call has returned: done still gets what it returned.
func waitForCommit(t *testing.T, raw *sql.DB, done chan error) {
	t.Helper()
	eventually(t, "a commit has begun", func() bool {
		var sleeps bool
		must(t, raw.QueryRow(`SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep')`).Scan(&sleeps))
		return sleeps || len(done) > 0
	})
}

// A caller that goes away while its transaction is being committed does not cut that off.
func TestPostgresCanceledCommit(t *testing.T) {
	server := pgtest.Start(t)
	dsn := server.NewDatabase(t)
	raw := rawPostgres(t, dsn)
	s := openPostgresWith(t, sqlstore.PostgresOptions{DSN: dsn, StatementTimeout: 20 * time.Second})
	sleepAtCommit(t, raw, time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := newSession("alice")
	done := make(chan error, 1)
	go func() { done <- s.CreateSession(ctx, n) }()
	waitForCommit(t, raw, done)
	cancel()
	if err := <-done; err != nil {
		t.Errorf("a commit was cut off: %v", err)
	}
	if _, err := s.Session(t.Context(), n.Account, n.ID); err != nil {
		t.Error(err)
	}
}

// Calls that were canceled, or took too long, give their connections back.
func TestPostgresCanceledCalls(t *testing.T) {
	t.Parallel()
	const conns = 3
	server := pgtest.Start(t)
	o := &outage{server: server, dsn: server.NewDatabase(t)}
	o.s = openPostgresWith(t, sqlstore.PostgresOptions{DSN: o.dsn, MaxConns: conns})
	var err error
	o.alice, err = o.s.CreateAccount(t.Context(), newAccount("alice"), authcore.Creation{})
	must(t, err)
	raw := rawPostgres(t, o.dsn)

	cutOff := func(longest time.Duration) {
		var done sync.WaitGroup
		for i := range 4 {
			for _, call := range o.calls() {
				done.Go(func() {
					for range 5 {
						ctx, cancel := context.WithCancel(t.Context())
						timer := time.AfterFunc(rand.N(longest), cancel)
						if i%2 == 0 {
							ctx, cancel = context.WithTimeout(ctx, rand.N(longest))
						}
						_ = call(ctx) // whether it was in time is not the matter
						timer.Stop()
						cancel()
					}
				})
			}
		}
		done.Wait()
	}
	all := func(t *testing.T) {
		t.Helper()
		start := time.Now()
		eventually(t, "the store has all of its connections", func() bool {
			for range conns {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				c, err := o.s.Writer().Conn(ctx)
				cancel()
				if err != nil {
					return false
				}
				defer c.Close()
				if err := c.PingContext(t.Context()); err != nil {
					return false
				}
			}
			return true
		})
		t.Logf("all connections were there after %v", time.Since(start).Round(time.Millisecond))
		eventually(t, "the server has no other", func() bool {
			var n int
			must(t, raw.QueryRow(`SELECT count(*) FROM pg_stat_activity
				WHERE datname = current_database() AND application_name = 'chatgate'`).Scan(&n))
			return n <= conns
		})
	}
	t.Run("quick", func(t *testing.T) {
		cutOff(4 * time.Millisecond)
		all(t)
	})
	t.Run("locked", func(t *testing.T) {
		tx, err := raw.Begin()
		must(t, err)
		_, err = tx.Exec(`LOCK TABLE accounts, sessions, revoked_sessions, codes, invites, devices`)
		must(t, err)
		cutOff(100 * time.Millisecond)
		must(t, tx.Rollback())
		all(t)
	})
	t.Run("frozen", func(t *testing.T) {
		server.Freeze()
		defer server.Thaw()
		cutOff(100 * time.Millisecond)
		server.Thaw()
		all(t)
	})
}

func TestPostgresTLS(t *testing.T) {
	t.Parallel()
	server := pgtest.StartTLS(t)
	dsn := server.NewDatabase(t)
	with := func(dsn, mode, ca string) string {
		dsn = strings.Replace(dsn, "sslmode=disable", "sslmode="+mode, 1)
		if ca != "" {
			dsn += "&sslrootcert=" + url.QueryEscape(ca)
		}
		return dsn
	}
	for _, c := range []struct {
		mode, ca string
		tls      bool
	}{{"verify-full", server.CA, true}, {"verify-ca", server.CA, true}, {"require", "", true}, {"disable", "", false}} {
		t.Run(c.mode, func(t *testing.T) {
			s := openPostgres(t, with(dsn, c.mode, c.ca))
			var tls bool
			must(t, s.Reader().QueryRow(`SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()`).Scan(&tls))
			if tls != c.tls {
				t.Errorf("TLS is %v", tls)
			}
			must(t, s.CreateSession(t.Context(), newSession("alice")))
		})
	}
	untrusted := "the server's certificate is not trusted; check the host, and sslrootcert: "
	t.Run("another authority", func(t *testing.T) {
		other := certtest.NewAuthority(t, t.TempDir()).File
		refusedPostgres(t, server, with(dsn, "verify-full", other), untrusted)
		refusedPostgres(t, server, with(dsn, "verify-ca", other), untrusted)
		refusedPostgres(t, server, with(dsn, "verify-full", ""), untrusted)
	})
	t.Run("another name", func(t *testing.T) {
		local := strings.Replace(with(dsn, "verify-full", server.CA), "127.0.0.1", "localhost", 1)
		refusedPostgres(t, server, local, untrusted)
		openPostgres(t, strings.Replace(local, "verify-full", "verify-ca", 1))
	})
	t.Run("no TLS", func(t *testing.T) {
		plain := pgtest.Start(t)
		refusedPostgres(t, plain, with(plain.NewDatabase(t), "require", ""), "the server cannot be reached: ")
	})
	t.Run("frozen", func(t *testing.T) {
		o := newOutage(t, server, with(server.NewDatabase(t), "verify-full", server.CA))
		server.Freeze()
		defer server.Thaw()
		o.failsInHurry(t)
		server.Thaw()
		o.recovers(t)
	})
}
