package sqlstore_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/sqlstore"
)

// makeVersion1 brings an empty database to where the first version left it, with an account and a session.
func makeVersion1(t *testing.T, db *sql.DB, dialect goose.Dialect, migrations string) (authcore.Account, authcore.Session) {
	t.Helper()
	p, err := goose.NewProvider(dialect, db, os.DirFS(migrations), goose.WithTableName("chatgate_migrations"), goose.WithDisableGlobalRegistry(true))
	must(t, err)
	_, err = p.UpTo(t.Context(), 1)
	must(t, err)
	a := newAccount("alice")
	n := newSession(a.ID)
	must(t, db.QueryRow(`INSERT INTO accounts (id, username, skeleton, display_name, avatar_url, bot, email, email_hash,
			password_hash, disabled, created_at)
		VALUES ($1, $2, $3, '', '', false, '', $4, $5, false, $6) RETURNING number`,
		a.ID, a.Username, a.Username.Skeleton(), a.EmailHash, string(a.PasswordHash), a.CreatedAt.UnixMilli()).Scan(&a.Number))
	insertVersion1Session(t, db, n)
	return a, n
}

// insertVersion1Session makes a session as a node of the first version does.
func insertVersion1Session(t *testing.T, db *sql.DB, n authcore.Session) {
	t.Helper()
	_, err := db.Exec(`INSERT INTO sessions (account, id, created_at, last_seen_at, expires_at, idle_limit, generation,
			dialect, addr, user_agent)
		VALUES ($1, $2, $3, $4, $5, 0, 0, '', '', '')`,
		n.Account, n.ID, n.CreatedAt.UnixMilli(), n.LastSeenAt.UnixMilli(), n.ExpiresAt.UnixMilli())
	must(t, err)
}

// upgrade opens a database of the first version several times at once, and checks that nothing was lost or ended.
func upgrade(t *testing.T, old *sql.DB, a authcore.Account, n authcore.Session, open func() (*sqlstore.Store, error)) *sqlstore.Store {
	t.Helper()
	const nodes = 4
	stores, errs := make(chan *sqlstore.Store, nodes), make(chan error, nodes)
	for range nodes {
		go func() {
			s, err := open()
			stores <- s
			errs <- err
		}()
	}
	var s *sqlstore.Store
	for range nodes {
		opened, err := <-stores, <-errs
		must(t, err)
		t.Cleanup(func() { must(t, opened.Close()) })
		s = opened
	}
	got, revoked, err := s.SessionAccount(t.Context(), a.ID, n.ID)
	must(t, err)
	if got.Epoch != 0 || got.Kept != "" || revoked || got.Number != a.Number || got.Username != a.Username || got.PasswordHash != a.PasswordHash {
		t.Errorf("the account is %+v, revoked %v", got, revoked)
	}
	if found, err := s.Session(t.Context(), n.Account, n.ID); err != nil || found != n {
		t.Errorf("the session is %+v, %v", found, err)
	}

	// A node that has not been upgraded goes on, and what it begins is of the first epoch.
	late := newSession(a.ID)
	insertVersion1Session(t, old, late)
	epoch, lives, err := s.RevokeSessions(t.Context(), a.ID, n)
	if err != nil || epoch != 1 || lives != n.ID {
		t.Errorf("epoch %d, %q lives, %v", epoch, lives, err)
	}
	if found, err := s.Session(t.Context(), a.ID, late.ID); err != nil || found.Epoch != 0 {
		t.Errorf("epoch %d, %v", found.Epoch, err)
	}
	return s
}

func TestSQLiteUpgrade(t *testing.T) {
	path := newPath(t)
	must(t, os.WriteFile(path, nil, 0o600))
	old := openRaw(t, path)
	t.Cleanup(func() { must(t, old.Close()) })
	_, err := old.Exec(`PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 5000`)
	must(t, err)
	a, n := makeVersion1(t, old, goose.DialectSQLite3, filepath.Join("migrations", "sqlite"))
	s := upgrade(t, old, a, n, func() (*sqlstore.Store, error) { return sqlstore.OpenSQLite(t.Context(), path) })
	wantMigratedOnce(t, s)
	healthy(t, s)
}

// keepsRevocations checks what has to outlive a restart, and the epoch of a session.
func keepsRevocations(t *testing.T, open func() (*sqlstore.Store, error)) {
	t.Helper()
	s, err := open()
	must(t, err)
	a, err := s.CreateAccount(t.Context(), newAccount("alice"))
	must(t, err)
	kept, over := newSession(a.ID), newSession(a.ID)
	kept.Epoch, over.Epoch = 0, 1<<40
	must(t, s.CreateSession(t.Context(), kept))
	must(t, s.CreateSession(t.Context(), over))
	must(t, s.RevokeSession(t.Context(), a.ID, over.ID, over.ExpiresAt))
	_, _, err = s.RevokeSessions(t.Context(), a.ID, kept)
	must(t, err)
	must(t, s.Close())

	s, err = open()
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	for _, n := range []authcore.Session{kept, over} {
		got, revoked, err := s.SessionAccount(t.Context(), a.ID, n.ID)
		if err != nil || got.Epoch != 1 || got.Kept != kept.ID || revoked != (n == over) {
			t.Errorf("epoch %d, kept %q, revoked %v, %v", got.Epoch, got.Kept, revoked, err)
		}
		if found, err := s.Session(t.Context(), a.ID, n.ID); err != nil || found != n {
			t.Errorf("the session is %+v, %v", found, err)
		}
	}
	if all, err := s.Sessions(t.Context(), a.ID); err != nil || len(all) != 2 || all[0].Epoch+all[1].Epoch != 1<<40 {
		t.Errorf("sessions: %+v, %v", all, err)
	}
}

func TestSQLiteKeepsRevocations(t *testing.T) {
	path := newPath(t)
	keepsRevocations(t, func() (*sqlstore.Store, error) { return sqlstore.OpenSQLite(t.Context(), path) })
}
