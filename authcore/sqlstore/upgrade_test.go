package sqlstore_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/sqlstore"
)

// older is a database as an earlier version left it, with an account and two sessions, of which one was revoked if that
// version knew how.
type older struct {
	db      *sql.DB
	version int64
	alice   authcore.Account
	kept    authcore.Session
	over    authcore.Session
}

// makeOlder brings an empty database to where a version left it.
func makeOlder(t *testing.T, db *sql.DB, dialect goose.Dialect, migrations string, version int64) *older {
	t.Helper()
	p, err := goose.NewProvider(dialect, db, os.DirFS(migrations), goose.WithTableName("chatgate_migrations"), goose.WithDisableGlobalRegistry(true))
	must(t, err)
	_, err = p.UpTo(t.Context(), version)
	must(t, err)
	o := &older{db: db, version: version, alice: newAccount("alice")}
	o.alice.Email = "alice@example.com"
	o.kept, o.over = newSession(o.alice.ID), newSession(o.alice.ID)
	if version >= 2 {
		o.alice.Epoch, o.alice.Kept = 5, o.kept.ID
		o.kept.Epoch, o.over.Epoch = 3, 5
	}
	o.alice.Number = o.insertAccount(t, o.alice)
	o.insertSession(t, o.kept)
	o.insertSession(t, o.over)
	if version >= 2 {
		_, err := db.Exec(`INSERT INTO revoked_sessions (account, id, forget_at) VALUES ($1, $2, $3)`,
			o.over.Account, o.over.ID, o.over.ExpiresAt.UnixMilli())
		must(t, err)
	}
	return o
}

// insertAccount and insertSession do so as a node of that version does.
func (o *older) insertAccount(t *testing.T, a authcore.Account) (number int64) {
	t.Helper()
	columns, values, args := "", "", []any{
		a.ID, a.Username, a.Username.Skeleton(), a.EmailHash, string(a.PasswordHash), a.CreatedAt.UnixMilli(),
	}
	if o.version >= 2 {
		columns, values = ", epoch, kept", ", $7, $8"
		args = append(args, a.Epoch, string(a.Kept))
	}
	must(t, o.db.QueryRow(`INSERT INTO accounts (id, username, skeleton, display_name, avatar_url, bot, email, email_hash,
			password_hash, disabled, created_at`+columns+`)
		VALUES ($1, $2, $3, '', '', false, '`+a.Email+`', $4, $5, false, $6`+values+`) RETURNING number`, args...).Scan(&number))
	return number
}

func (o *older) insertSession(t *testing.T, n authcore.Session) {
	t.Helper()
	columns, values, args := "", "", []any{
		n.Account, n.ID, n.CreatedAt.UnixMilli(), n.LastSeenAt.UnixMilli(), n.ExpiresAt.UnixMilli(),
	}
	if o.version >= 2 {
		columns, values = ", epoch", ", $6"
		args = append(args, n.Epoch)
	}
	_, err := o.db.Exec(`INSERT INTO sessions (account, id, created_at, last_seen_at, expires_at, idle_limit, generation,
			dialect, addr, user_agent`+columns+`)
		VALUES ($1, $2, $3, $4, $5, 0, 0, '', '', ''`+values+`)`, args...)
	must(t, err)
}

// upgrade opens an older database several times at once, and checks that nothing was lost or ended, and that what is new
// is there.
func (o *older) upgrade(t *testing.T, open func() (*sqlstore.Store, error)) *sqlstore.Store {
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
	o.check(t, s)
	return s
}

func (o *older) check(t *testing.T, s *sqlstore.Store) {
	t.Helper()
	for _, n := range []authcore.Session{o.kept, o.over} {
		got, revoked, err := s.SessionAccount(t.Context(), o.alice.ID, n.ID)
		must(t, err)
		if !reflect.DeepEqual(got, o.alice) || revoked != (o.version >= 2 && n == o.over) {
			t.Errorf("the account is %+v, want %+v; revoked %v", got, o.alice, revoked)
		}
		if found, err := s.Session(t.Context(), n.Account, n.ID); err != nil || found != n {
			t.Errorf("the session is %+v, %v", found, err)
		}
	}

	// A node that has not been upgraded goes on. What one of the first version begins is of the first epoch.
	late := newSession(o.alice.ID)
	o.insertSession(t, late)
	bob := newAccount("bob")
	bob.Number = o.insertAccount(t, bob)
	if found, err := s.Session(t.Context(), o.alice.ID, late.ID); err != nil || found != late {
		t.Errorf("the late session is %+v, %v", found, err)
	}
	if got, err := s.AccountByUsername(t.Context(), "bob"); err != nil || !reflect.DeepEqual(got, bob) {
		t.Errorf("the late account is %+v, %v", got, err)
	}
	epoch, lives, err := s.RevokeSessions(t.Context(), o.alice.ID, o.kept)
	if err != nil || epoch != o.alice.Epoch+1 || lives != o.kept.ID {
		t.Errorf("epoch %d, %q lives, %v", epoch, lives, err)
	}

	// What the third version added works with what was there.
	c := authcore.Code{Request: "request", Account: bob.ID, Purpose: authcore.CodeReset, Hash: []byte("code"), ExpiresAt: bob.CreatedAt.Add(time.Hour)}
	must(t, s.PutCode(t.Context(), c))
	if got, err := s.ResetPassword(t.Context(), c.Request, c.Hash, "new", bob.CreatedAt); err != nil || got.Epoch != 1 || got.PasswordHash != "new" || got.EmailConfirmed {
		t.Errorf("epoch %d after a reset, %v", got.Epoch, err)
	}
	i := authcore.Invite{ID: "invite", Hash: []byte("invite"), Uses: 1, CreatedAt: bob.CreatedAt, ExpiresAt: bob.CreatedAt.Add(time.Hour)}
	if added, err := s.AddInvite(t.Context(), i); err != nil || !added {
		t.Errorf("invite: %v, %v", added, err)
	}
	if _, err := s.CreateAccount(t.Context(), newAccount("bob"), authcore.Creation{Invite: i.Hash}); authcore.KindOf(err) != authcore.KindUsernameTaken {
		t.Errorf("a name that was taken before: %v", err)
	}
	if _, err := s.CreateAccount(t.Context(), newAccount("carol"), authcore.Creation{Invite: i.Hash}); err != nil {
		t.Error(err)
	}
	if known, others, err := s.NoteDevice(t.Context(), bob.ID, []byte("device"), bob.CreatedAt); err != nil || known || others {
		t.Errorf("device: %v, %v, %v", known, others, err)
	}

	// As does what the fourth added.
	dave := newAccount("dave")
	dave.PhonePending, dave.CreatedAt = true, bob.CreatedAt.Add(-48*time.Hour)
	dave, err = s.CreateAccount(t.Context(), dave, authcore.Creation{})
	must(t, err)
	phone := authcore.PhoneCode{Account: dave.ID, Phone: []byte("phone"), Hash: []byte("code"), ExpiresAt: bob.CreatedAt.Add(time.Hour)}
	must(t, s.PutPhoneCode(t.Context(), phone))
	must(t, s.ValidatePhone(t.Context(), phone, bob.CreatedAt))
	if got, err := s.AccountByID(t.Context(), dave.ID); err != nil || got.PhonePending {
		t.Errorf("a number that was validated: %+v, %v", got, err)
	}
	if err := s.PutPhoneCode(t.Context(), authcore.PhoneCode{Account: o.alice.ID, Phone: []byte("other")}); authcore.KindOf(err) != authcore.KindUnknownAccount {
		t.Errorf("a code for an account of before: %v", err)
	}
	if n, err := s.DeleteUnvalidated(t.Context(), bob.CreatedAt.Add(time.Hour), bob.CreatedAt); err != nil || n != 0 {
		t.Errorf("%d accounts of before were deleted, %v", n, err)
	}

	// As does what the fifth added, also where a node of before rotates a session in between.
	for range 2 {
		n, err := s.RotateSession(t.Context(), late.Account, late.ID, late.Generation, rotation)
		late.Generation, late.Rotations, late.RefreshedBy = late.Generation+1, late.Rotations.Add(rotation.At), rotation.By
		if err != nil || n != late {
			t.Errorf("rotation: %+v, want %+v, %v", n, late, err)
		}
		_, err = o.db.Exec(`UPDATE sessions SET generation = $3 + 1 WHERE account = $1 AND id = $2 AND generation <= $3`, late.Account, late.ID, late.Generation)
		must(t, err)
		late.Generation++
	}
}

// newOlderSQLite makes a file as a version left it.
func newOlderSQLite(t *testing.T, version int64) (path string, o *older) {
	t.Helper()
	path = newPath(t)
	must(t, os.WriteFile(path, nil, 0o600))
	db := openRaw(t, path)
	t.Cleanup(func() { must(t, db.Close()) })
	_, err := db.Exec(`PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 5000`)
	must(t, err)
	return path, makeOlder(t, db, goose.DialectSQLite3, filepath.Join("migrations", "sqlite"), version)
}

func TestSQLiteUpgrade(t *testing.T) {
	t.Parallel()
	for _, version := range []int64{1, 2, 3, 4, 5} {
		t.Run(fmt.Sprint("from ", version), func(t *testing.T) {
			path, o := newOlderSQLite(t, version)
			s := o.upgrade(t, func() (*sqlstore.Store, error) { return sqlstore.OpenSQLite(t.Context(), path) })
			wantMigratedOnce(t, s)
			healthy(t, s)
		})
		t.Run(fmt.Sprintf("from %d by several processes", version), func(t *testing.T) {
			path, o := newOlderSQLite(t, version)
			openInProcesses(t, "open", path)
			s := open(t, path)
			o.check(t, s)
			wantMigratedOnce(t, s)
			healthy(t, s)
		})
	}
}

// keepsRevocations checks what has to outlive a restart, and the epoch of a session.
func keepsRevocations(t *testing.T, open func() (*sqlstore.Store, error)) {
	t.Helper()
	s, err := open()
	must(t, err)
	a, err := s.CreateAccount(t.Context(), newAccount("alice"), authcore.Creation{})
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
	t.Parallel()
	path := newPath(t)
	keepsRevocations(t, func() (*sqlstore.Store, error) { return sqlstore.OpenSQLite(t.Context(), path) })
}
