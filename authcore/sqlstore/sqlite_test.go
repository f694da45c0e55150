package sqlstore_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/sqlstore"
	"github.com/chatgate/chatgate/authcore/storetest"
)

func open(t *testing.T, path string) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.OpenSQLite(t.Context(), path)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newPath(t *testing.T) string { return filepath.Join(t.TempDir(), "chatgate.db") }

func newAccount(name string) authcore.Account {
	return authcore.Account{
		ID: authcore.AccountID(rand.Text()), Username: authcore.Username(name), EmailHash: []byte(rand.Text()),
		PasswordHash: "hash", CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
	}
}

func newSession(account authcore.AccountID) authcore.Session {
	at := time.Now().UTC().Truncate(time.Millisecond)
	return authcore.Session{ID: authcore.SessionID(rand.Text()), Account: account, CreatedAt: at, LastSeenAt: at, ExpiresAt: at.Add(time.Hour)}
}

var rotation = authcore.Rotation{At: time.UnixMilli(1_700_000_000_000), By: "client-of-the-rotation"}

func TestSQLite(t *testing.T) {
	t.Parallel()
	empty := migrated(t)
	storetest.Run(t, func(t *testing.T) storetest.Stores {
		path := newPath(t)
		must(t, os.WriteFile(path, empty, 0o600))
		return allOf(open(t, path))
	})
}

// migrated returns the file of a store that holds nothing. To migrate one anew for each of 140 tests would take longer than
// some of them, and how it comes about is the matter of others.
func migrated(t *testing.T) []byte {
	t.Helper()
	path := newPath(t)
	s, err := sqlstore.OpenSQLite(t.Context(), path)
	must(t, err)
	must(t, s.Close())
	raw, err := os.ReadFile(path)
	must(t, err)
	return raw
}

func allOf(s *sqlstore.Store) storetest.Stores {
	return storetest.Stores{Accounts: s, Sessions: s, Revocations: s, Codes: s, Invites: s, Phones: s, Devices: s, Networks: s, Keys: s}
}

// Two stores on one file are what an upgrade without downtime looks like.
func TestSQLiteTwoStores(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	a, b := open(t, path), open(t, path)
	for i := range 50 {
		accounts := []authcore.Account{newAccount(fmt.Sprintf("user%d", i)), newAccount(fmt.Sprintf("user%d", i))}
		errs := make(chan error, 2)
		for k, s := range []*sqlstore.Store{a, b} {
			go func() {
				_, err := s.CreateAccount(t.Context(), accounts[k], authcore.Creation{})
				errs <- err
			}()
		}
		first, second := <-errs, <-errs
		if first != nil {
			first, second = second, first
		}
		if e, ok := errors.AsType[*authcore.Error](second); first != nil || !ok || e.Kind != authcore.KindUsernameTaken {
			t.Fatalf("got %v and %v", first, second)
		}
		n := newSession(accounts[0].ID)
		must(t, a.CreateSession(t.Context(), n))
		ended, err := b.EndSession(t.Context(), n.Account, n.ID)
		must(t, err)
		if !ended {
			t.Fatal("a session of the other store was not there to be ended")
		}
		if _, err := a.Session(t.Context(), n.Account, n.ID); authcore.KindOf(err) != authcore.KindSessionOver {
			t.Fatalf("what another store ended is found: %v", err)
		}
	}
}

func TestSQLiteSettings(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made", "for % it", "#1?x=y")
	path := filepath.Join(dir, "chat gate?mode=memory&%41.db")
	s := open(t, path)
	must(t, s.Ping(t.Context()))
	_, err := s.CreateAccount(t.Context(), newAccount("alice"), authcore.Creation{})
	must(t, err)

	info, err := os.Stat(dir)
	must(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v", info.Mode())
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "*", "*"))
	must(t, err)
	if len(files) != 3 {
		t.Errorf("want the database, its log and its shared memory, got %q", files)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f, info.Mode(), err)
		}
	}

	for pragma, expected := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000", "query_only": "0",
	} {
		var got string
		if err := s.Writer().QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != expected {
			t.Errorf("writer: %s is %q (%v), want %q", pragma, got, err, expected)
		}
	}
	if _, err := s.Reader().Exec(`DELETE FROM accounts`); err == nil {
		t.Error("a reader can write")
	}
}

// Every query that runs often or over a large table has an index.
func TestSQLiteQueryPlans(t *testing.T) {
	t.Parallel()
	s := open(t, newPath(t))
	for _, query := range []string{
		`SELECT * FROM accounts WHERE id = $1`,
		`SELECT * FROM accounts WHERE username = $1`,
		`SELECT * FROM accounts WHERE email_hash = $1 ORDER BY email_confirmed DESC, number LIMIT 1`,
		`SELECT EXISTS (SELECT 1 FROM accounts WHERE email_hash = $1 AND (email_confirmed OR $2))`,
		`UPDATE accounts SET email = '' WHERE email_hash = $1 AND id <> $2`,
		`DELETE FROM codes WHERE account IN (SELECT id FROM accounts WHERE email_hash = $1 AND id <> $2)`,
		`UPDATE codes SET tries = tries + 1 WHERE purpose = $1 AND account IN (SELECT id FROM accounts WHERE email_hash = $2 AND email_pending)`,
		`UPDATE accounts SET display_clash = true WHERE display_skeleton = $1 AND id <> $2 AND NOT display_clash`,
		`SELECT id FROM accounts WHERE display_skeleton IS NULL AND display_name <> '' ORDER BY number LIMIT 500`,
		`SELECT EXISTS (SELECT 1 FROM accounts WHERE username = $1 OR skeleton = $2)`,
		`SELECT * FROM sessions WHERE account = $1 AND id = $2`,
		`DELETE FROM sessions WHERE account = $1 AND id <> $2 RETURNING id`,
		`DELETE FROM sessions WHERE expires_at < $1`,
		sqlstore.SelectSessionAccount,
		sqlstore.RevokeSessionsQuery,
		`DELETE FROM revoked_sessions WHERE forget_at < $1`,
		`DELETE FROM sessions WHERE idle_limit > 0 AND last_seen_at + idle_limit < $1`,
		`UPDATE sessions SET generation = $3 WHERE account = $1 AND id = $2 AND generation < $3`,
		`UPDATE codes SET tries = tries + 1 WHERE request = $1 AND purpose = $2 AND tries < 5 AND expires_at > $3`,
		`DELETE FROM codes WHERE request = $1 AND purpose = $2 AND hash = $3 RETURNING account`,
		`DELETE FROM codes WHERE expires_at < $1`,
		`SELECT * FROM invites WHERE hash = $1`,
		`UPDATE invites SET used = used + 1 WHERE hash = $1 AND used < uses AND (email_hash IS NULL OR email_hash = $2)`,
		`UPDATE invites SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1`,
		`UPDATE devices SET seen_at = $3 WHERE account = $1 AND device = $2`,
		`SELECT EXISTS (SELECT 1 FROM devices WHERE account = $1 AND device <> $2)`,
		`DELETE FROM devices WHERE seen_at < $1`,
		`SELECT EXISTS (SELECT 1 FROM networks WHERE account = $1 AND network = $2)`,
		`DELETE FROM networks WHERE seen_at < $1`,
	} {
		rows, err := s.Reader().Query("EXPLAIN QUERY PLAN "+query, 1, 2, 3)
		must(t, err)
		for rows.Next() {
			var id, parent, unused int
			var step string
			must(t, rows.Scan(&id, &parent, &unused, &step))
			if strings.HasPrefix(step, "SCAN") && step != "SCAN CONSTANT ROW" {
				t.Errorf("%s: %s", query, step)
			}
		}
		must(t, rows.Err())
		must(t, rows.Close()) //nolint:sqlclosecheck // in a loop, and the test is over where it is not reached
	}
}

func TestSQLiteReopen(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s, err := sqlstore.OpenSQLite(t.Context(), path)
	must(t, err)
	a, err := s.CreateAccount(t.Context(), newAccount("alice"), authcore.Creation{})
	must(t, err)
	must(t, s.Close())
	must(t, s.Close())
	if err := s.Ping(t.Context()); err == nil {
		t.Error("a closed store answers")
	}
	if left, _ := filepath.Glob(path + "-*"); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
	s = open(t, path)
	got, err := s.AccountByUsername(t.Context(), "alice")
	must(t, err)
	if got.ID != a.ID || got.Number != a.Number {
		t.Errorf("got %+v, want %+v", got, a)
	}
	// A number stays spent, even if its account was removed by hand.
	_, err = s.Writer().Exec(`DELETE FROM accounts`)
	must(t, err)
	if b, err := s.CreateAccount(t.Context(), newAccount("bob"), authcore.Creation{}); err != nil || b.Number <= a.Number {
		t.Errorf("number %d after %d, %v", b.Number, a.Number, err)
	}
}

// A lock that another process holds is waited for, but not longer than the caller wants to.
func TestSQLiteLocked(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s := open(t, path)
	first, err := s.CreateAccount(t.Context(), newAccount("alice"), authcore.Creation{})
	must(t, err)

	db := openRaw(t, path)
	conn, err := db.Conn(t.Context())
	must(t, err)
	_, err = conn.ExecContext(t.Context(), `BEGIN IMMEDIATE`)
	must(t, err)

	a := newAccount("bob")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err = s.CreateAccount(ctx, a, authcore.Creation{})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 4*time.Second { // it would wait for five by itself
		t.Errorf("after %v: %v", time.Since(start), err)
	}
	got, err := s.AccountByUsername(t.Context(), "alice") // readers do not wait
	must(t, err)
	if got.ID != first.ID {
		t.Errorf("got %+v", got)
	}
	time.AfterFunc(200*time.Millisecond, func() { _, _ = conn.ExecContext(context.Background(), `ROLLBACK`) })
	_, err = s.CreateAccount(t.Context(), a, authcore.Creation{})
	must(t, err)
	must(t, conn.Close())
	must(t, db.Close())
}

func TestSQLiteFullDisk(t *testing.T) {
	t.Parallel()
	s := open(t, newPath(t))
	alice, err := s.CreateAccount(t.Context(), newAccount("alice"), authcore.Creation{})
	must(t, err)
	session := newSession(alice.ID)
	must(t, s.CreateSession(t.Context(), session))
	key := authcore.Key{ID: "first", Purpose: authcore.KeySigning, Secret: []byte("secret"), CreatedAt: alice.CreatedAt}
	if added, err := s.AddKey(t.Context(), key, "", time.Time{}); err != nil || !added {
		t.Fatal(added, err)
	}

	must(t, s.Fill(t.Context(), 3))
	wantFull := func(err error) {
		t.Helper()
		e, ok := errors.AsType[*sqlite.Error](err)
		if !ok || e.Code()&0xff != sqlite3.SQLITE_FULL || !strings.HasPrefix(err.Error(), "sqlstore: ") {
			t.Fatalf("got %v, want SQLITE_FULL", err)
		}
	}
	a := newAccount("bob")
	a.DisplayName = strings.Repeat("x", 30_000)
	for range 3 {
		_, err = s.CreateAccount(t.Context(), a, authcore.Creation{})
		wantFull(err)
		if strings.Contains(err.Error(), "xxx") || strings.Contains(err.Error(), string(a.PasswordHash)) {
			t.Errorf("the error tells what was to be stored: %.200q", err)
		}
	}
	big := newSession(alice.ID)
	big.UserAgent = a.DisplayName
	wantFull(s.CreateSession(t.Context(), big))
	next := authcore.Key{ID: "second", Purpose: authcore.KeySigning, Secret: make([]byte, 30_000), CreatedAt: alice.CreatedAt}
	_, err = s.AddKey(t.Context(), next, "first", alice.CreatedAt)
	wantFull(err)

	// Nothing is there by half, and nothing else has gone.
	for _, find := range []func() error{
		func() error { _, err := s.AccountByID(t.Context(), a.ID); return err },
		func() error { _, err := s.AccountByUsername(t.Context(), a.Username); return err },
		func() error { _, err := s.AccountByEmailHash(t.Context(), a.EmailHash); return err },
	} {
		if err := find(); authcore.KindOf(err) != authcore.KindUnknownAccount {
			t.Errorf("half an account: %v", err)
		}
	}
	if all, err := s.Sessions(t.Context(), alice.ID); err != nil || len(all) != 1 || all[0] != session {
		t.Errorf("sessions: %+v, %v", all, err)
	}
	if all, err := s.Keys(t.Context(), authcore.KeySigning); err != nil || len(all) != 1 || !all[0].RetiredAt.IsZero() {
		t.Errorf("keys: %d, %v", len(all), err)
	}
	if _, err := s.AccountByUsername(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
	if ended, err := s.EndSession(t.Context(), alice.ID, session.ID); err != nil || !ended { // a logout needs no space
		t.Errorf("logout: %v, %v", ended, err)
	}

	must(t, s.Fill(t.Context(), -1))
	_, err = s.CreateAccount(t.Context(), a, authcore.Creation{})
	must(t, err)
	must(t, s.CreateSession(t.Context(), big))
	if added, err := s.AddKey(t.Context(), next, "first", alice.CreatedAt); err != nil || !added {
		t.Error(added, err)
	}
	healthy(t, s)
}

func healthy(t *testing.T, s *sqlstore.Store) {
	t.Helper()
	var result string
	if err := s.Reader().QueryRow(`PRAGMA integrity_check`).Scan(&result); err != nil || result != "ok" {
		t.Errorf("integrity check: %q, %v", result, err)
	}
}

// Stores that open a new file at once bring it up to date together.
func TestSQLiteConcurrentOpen(t *testing.T) {
	t.Parallel()
	for range 3 {
		path := newPath(t)
		const n = 8
		stores := make(chan *sqlstore.Store, n)
		errs := make(chan error, n)
		for i := range n {
			go func() {
				s, err := sqlstore.OpenSQLite(t.Context(), path)
				if err == nil {
					stores <- s
					_, err = s.CreateAccount(t.Context(), newAccount(fmt.Sprintf("user%d", i)), authcore.Creation{})
				}
				errs <- err
			}()
		}
		for range n {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		close(stores)
		s := open(t, path)
		wantMigratedOnce(t, s)
		for i := range n {
			if _, err := s.AccountByUsername(t.Context(), authcore.Username(fmt.Sprintf("user%d", i))); err != nil {
				t.Error(err)
			}
		}
		for s := range stores {
			must(t, s.Close())
		}
		healthy(t, s)
	}
}

func wantMigratedOnce(t *testing.T, s *sqlstore.Store) {
	t.Helper()
	migrations, err := filepath.Glob("migrations/sqlite/*.sql")
	must(t, err)
	var rows int
	must(t, s.Reader().QueryRow(`SELECT count(*) FROM chatgate_migrations`).Scan(&rows))
	if rows != len(migrations)+1 { // and version 0, for the table itself
		t.Errorf("%d migrations are recorded, want %d", rows, len(migrations)+1)
	}
}
