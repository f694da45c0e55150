package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/sqlstore"
	"github.com/chatgate/chatgate/internal/faultproxy"
	"github.com/chatgate/chatgate/internal/pgtest"
)

// doubt is a call whose connection is cut when its commit was sent, and the call that somebody then makes again.
type doubt struct {
	call  func(ctx context.Context, s *sqlstore.Store, again bool) error
	after func(t *testing.T, s *sqlstore.Store, done bool, err error) // the error of the second call; done: by the first
}

// A commit that was cut off may have been done. Whoever tries again finds a result that says so, or does it then; and it
// is never done twice.
func TestPostgresCommitLost(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	direct := server.NewDatabase(t)
	u, err := url.Parse(direct)
	must(t, err)
	proxy := faultproxy.New(t, u.Host)
	u.Host = proxy.Addr
	s := openPostgresWith(t, sqlstore.PostgresOptions{
		DSN: u.String(), ConnectTimeout: 30 * time.Second, StatementTimeout: 90 * time.Second, // a third of it to wait for a lock
		MaxConns: 1, // so that there is no other to be found dead later
	})
	raw := rawPostgres(t, direct)

	for what, doubtful := range map[string]func(t *testing.T, name string) doubt{
		"an invite of one use": func(t *testing.T, name string) doubt { return doubtfulInvite(t, s, name, 1) },
		"an invite of two":     func(t *testing.T, name string) doubt { return doubtfulInvite(t, s, name, 2) },
		"a reset":              func(t *testing.T, name string) doubt { return doubtfulReset(t, s, name) },
		"a rotation":           func(t *testing.T, name string) doubt { return doubtfulRotation(t, s) },
	} {
		for _, fate := range []string{"done", "undone", "open"} {
			t.Run(what+", "+fate, func(t *testing.T) {
				d := doubtful(t, strings.ReplaceAll(what, " ", "-")+"-"+fate)
				release := holdCommits(t, raw)
				first := cutOff(t, s, raw, proxy, d)
				if first == nil || !strings.HasPrefix(first.Error(), "sqlstore: ") {
					t.Errorf("cut off: %v", first)
				}
				if e, ok := errors.AsType[*authcore.Error](first); ok {
					t.Errorf("a commit that was cut off looks like an answer: %v", e)
				}
				proxy.Heal()
				second := make(chan error, 1)
				again := func() { second <- d.call(t.Context(), s, true) }
				switch fate {
				case "undone":
					_, err := raw.Exec(`SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE wait_event = 'advisory'`)
					must(t, err)
				case "open":
					go again()
					eventually(t, "the second call waits for the first", func() bool {
						return len(second) > 0 || serverSays(t, raw, `pid IN (SELECT pid FROM pg_locks WHERE NOT granted AND NOT (locktype = 'advisory' AND classid = 0 AND objid = 1))`)
					})
				}
				release()
				eventually(t, "nothing is held any more", func() bool { return !serverSays(t, raw, `wait_event = 'advisory'`) })
				if fate != "open" {
					go again()
				}
				d.after(t, s, fate != "undone", <-second)
			})
		}
	}
}

// serverSays reports whether one of the server's processes does that.
func serverSays(t *testing.T, raw *sql.DB, what string) (yes bool) {
	t.Helper()
	must(t, raw.QueryRow(`SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE `+what+`)`).Scan(&yes))
	return yes
}

// cutOff makes a call and cuts its connection when its commit has begun.
func cutOff(t *testing.T, s *sqlstore.Store, raw *sql.DB, proxy *faultproxy.Proxy, d doubt) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- d.call(t.Context(), s, false) }()
	eventually(t, "a commit has begun", func() bool { return len(done) > 0 || serverSays(t, raw, `wait_event = 'advisory'`) })
	refused := proxy.Stats().Refused
	proxy.Cut()
	err := <-done
	// The driver asks the server to stop what it does. That may not get through either, or nothing is committed.
	eventually(t, "the driver has given up", func() bool { return proxy.Stats().Refused > refused })
	return err
}

// holdCommits keeps every transaction that changes an account or a session from being committed until it is released.
func holdCommits(t *testing.T, raw *sql.DB) (release func()) {
	t.Helper()
	_, err := raw.Exec(`CREATE OR REPLACE FUNCTION held() RETURNS trigger LANGUAGE plpgsql
			AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END';
		DROP TRIGGER IF EXISTS held ON accounts;
		DROP TRIGGER IF EXISTS held ON sessions;
		CREATE CONSTRAINT TRIGGER held AFTER INSERT OR UPDATE ON accounts DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION held();
		CREATE CONSTRAINT TRIGGER held AFTER INSERT OR UPDATE ON sessions DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION held()`)
	must(t, err)
	tx, err := raw.Begin()
	must(t, err)
	_, err = tx.Exec(`SELECT pg_advisory_xact_lock(1)`)
	must(t, err)
	release = sync.OnceFunc(func() { _ = tx.Rollback() })
	t.Cleanup(release)
	return release
}

func doubtfulInvite(t *testing.T, s *sqlstore.Store, name string, uses int) doubt {
	a := newAccount(name)
	i := authcore.Invite{
		ID: authcore.InviteID(name), Hash: []byte(name), Uses: uses, CreatedAt: a.CreatedAt, ExpiresAt: a.CreatedAt.Add(time.Hour),
	}
	if added, err := s.AddInvite(t.Context(), i); err != nil || !added {
		t.Fatal(added, err)
	}
	b := newAccount(name) // who registers again is given a new ID
	b.EmailHash = a.EmailHash
	return doubt{
		call: func(ctx context.Context, s *sqlstore.Store, again bool) error {
			n := a
			if again {
				n = b
			}
			_, err := s.CreateAccount(ctx, n, authcore.Creation{Invite: i.Hash})
			return err
		},
		after: func(t *testing.T, s *sqlstore.Store, done bool, err error) {
			want := b.ID
			switch {
			case !done:
				must(t, err)
			case uses == 1:
				want = a.ID
				wantKind(t, err, authcore.KindBadInvite)
			default:
				want = a.ID
				wantKind(t, err, authcore.KindUsernameTaken)
			}
			if got, err := s.AccountByUsername(t.Context(), a.Username); err != nil || got.ID != want {
				t.Errorf("account %s, want %s, %v", got.ID, want, err)
			}
			if got, err := s.InviteByHash(t.Context(), i.Hash); err != nil || got.Used != 1 {
				t.Errorf("used %d times, %v", got.Used, err)
			}
		},
	}
}

func doubtfulReset(t *testing.T, s *sqlstore.Store, name string) doubt {
	a, err := s.CreateAccount(t.Context(), newAccount(name), authcore.Creation{})
	must(t, err)
	c := authcore.Code{
		Request: authcore.RequestID(name), Account: a.ID, Purpose: authcore.CodeReset, Hash: []byte(name), ExpiresAt: a.CreatedAt.Add(time.Hour),
	}
	must(t, s.PutCode(t.Context(), c))
	return doubt{
		call: func(ctx context.Context, s *sqlstore.Store, again bool) error {
			_, err := s.ResetPassword(ctx, c.Request, c.Hash, authcore.PasswordHash(fmt.Sprint("again ", again)), a.CreatedAt)
			return err
		},
		after: func(t *testing.T, s *sqlstore.Store, done bool, err error) {
			if done {
				wantKind(t, err, authcore.KindBadCode)
			} else {
				must(t, err)
			}
			want := fmt.Sprint("again ", !done)
			if got, err := s.AccountByID(t.Context(), a.ID); err != nil || got.Epoch != 1 || string(got.PasswordHash) != want {
				t.Errorf("epoch %d, hash %q, %v", got.Epoch, string(got.PasswordHash), err)
			}
			_, err = s.TryCode(t.Context(), c.Purpose, c.Request, a.CreatedAt)
			wantKind(t, err, authcore.KindBadCode)
		},
	}
}

func doubtfulRotation(t *testing.T, s *sqlstore.Store) doubt {
	n := newSession("alice")
	n.Generation = 1
	must(t, s.CreateSession(t.Context(), n))
	var got authcore.Session
	return doubt{
		call: func(ctx context.Context, s *sqlstore.Store, _ bool) (err error) {
			got, err = s.RotateSession(ctx, n.Account, n.ID, 1, rotation)
			return err
		},
		after: func(t *testing.T, s *sqlstore.Store, _ bool, err error) {
			must(t, err)
			n.Generation, n.Rotations, n.RefreshedBy = 2, n.Rotations.Add(rotation.At), rotation.By
			if stored, err := s.Session(t.Context(), n.Account, n.ID); err != nil || got != n || stored != n {
				t.Errorf("told %+v, stored %+v, want %+v, %v", got, stored, n, err)
			}
		},
	}
}

func wantKind(t *testing.T, err error, kind authcore.Kind) {
	t.Helper()
	if e, ok := errors.AsType[*authcore.Error](err); !ok || e.Kind != kind {
		t.Errorf("got %v, want kind %v", err, kind)
	}
}

// TestPostgresRedeemAtOnce has two nodes redeem one invite at once, among other work, while somebody keeps it locked for
// longer than a lock is waited for. None of them fails for that.
func TestPostgresRedeemAtOnce(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	dsn := server.NewDatabase(t)
	o := sqlstore.PostgresOptions{DSN: dsn, ConnectTimeout: 20 * time.Second, StatementTimeout: 1500 * time.Millisecond}
	nodes := []*sqlstore.Store{openPostgresWith(t, o), openPostgresWith(t, o)}
	raw := rawPostgres(t, dsn)
	_, err := raw.Exec(`CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.02); RETURN NULL; END';
		CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON accounts DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()`)
	must(t, err)
	const racers, uses = 16, 14
	at := time.Now()
	i := authcore.Invite{ID: "invite", Hash: []byte("invite"), Uses: uses, CreatedAt: at, ExpiresAt: at.Add(time.Hour)}
	added, err := nodes[0].AddInvite(t.Context(), i)
	if err != nil || !added {
		t.Fatal(added, err)
	}
	tx, err := raw.Begin()
	must(t, err)
	_, err = tx.Exec(`SELECT 1 FROM invites FOR UPDATE`)
	must(t, err)
	defer time.AfterFunc(700*time.Millisecond, func() { _ = tx.Rollback() }).Stop() // a lock is waited for for 500 ms
	var made, refused atomic.Int32
	var busy, redeeming sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for k := range 4 {
		busy.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if _, err := nodes[k%2].CreateAccount(t.Context(), newAccount(fmt.Sprintf("busy%dx%d", k, n)), authcore.Creation{}); err != nil {
					t.Errorf("other work: %v", err)
				}
			}
		})
	}
	for k := range racers {
		redeeming.Go(func() {
			_, err := nodes[k%2].CreateAccount(t.Context(), newAccount(fmt.Sprintf("user%d", k)), authcore.Creation{Invite: i.Hash})
			switch authcore.KindOf(err) {
			case authcore.KindBadInvite:
				refused.Add(1)
			default:
				if err != nil {
					t.Errorf("redemption %d: %v", k, err)
					return
				}
				made.Add(1)
			}
		})
	}
	redeeming.Wait()
	cancel()
	busy.Wait()
	if got, err := nodes[1].InviteByHash(t.Context(), i.Hash); err != nil || got.Used != uses || made.Load() != uses || refused.Load() != racers-uses {
		t.Errorf("used %d times, for %d accounts; %d were refused; %v", got.Used, made.Load(), refused.Load(), err)
	}
}
