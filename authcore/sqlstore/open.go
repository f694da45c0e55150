package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// Store is a database with chatgate's tables in it. It is safe for concurrent use.
type Store struct {
	write *sql.DB
	read  *sql.DB

	// Every login and every first look at a session run these.
	accountByUsername lookup
	session           lookup
	sessionAccount    lookup
	statements        []*sql.Stmt // that they use

	limit    time.Duration    // of one call, where the database does not keep to one by itself; may be 0
	lostRace func(error) bool // says whether a transaction that failed so may do better when tried again; may be nil
	release  func()           // gives back what is left after closing; may be nil
	warnings []string
}

// lookup runs one query that returns at most one row.
type lookup func(ctx context.Context, args ...any) *sql.Row

const (
	selectAccountByUsername = selectAccount + ` WHERE username = $1`
	selectSessionByID       = selectSession + ` WHERE account = $1 AND id = $2`
	selectSessionAccount    = `SELECT ` + accountColumns + `,
	EXISTS (SELECT 1 FROM revoked_sessions WHERE account = $1 AND id = $2) FROM accounts WHERE id = $1`
)

// prepare makes the lookups, where a statement has to be prepared to be fast. The tables exist.
func (s *Store) prepare(ctx context.Context) error {
	for query, l := range s.lookups() {
		stmt, err := s.read.PrepareContext(ctx, query) //nolint:sqlclosecheck // Close does
		if err != nil {
			return err
		}
		s.statements = append(s.statements, stmt)
		*l = stmt.QueryRowContext
	}
	return nil
}

// prepared makes the lookups, where the driver keeps by itself what it prepared on each connection.
func (s *Store) prepared() {
	for query, l := range s.lookups() {
		*l = func(ctx context.Context, args ...any) *sql.Row { return s.read.QueryRowContext(ctx, query, args...) }
	}
}

func (s *Store) lookups() map[string]*lookup {
	return map[string]*lookup{
		selectAccountByUsername: &s.accountByUsername, selectSessionByID: &s.session, selectSessionAccount: &s.sessionAccount,
	}
}

// Ping reports whether the database can be read now.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	var any bool
	return fail(ctx, "ping", s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM accounts)`).Scan(&any))
}

// Close waits for what is running and closes the database.
func (s *Store) Close() error {
	var errs []error
	for _, stmt := range s.statements {
		errs = append(errs, stmt.Close())
	}
	// The writer last: the last to leave tidies up the write-ahead log, and readers cannot.
	errs = append(errs, s.read.Close(), s.write.Close())
	if s.release != nil {
		s.release()
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("sqlstore: close: %w", err)
	}
	return nil
}

// bound limits a call. Every method begins with it.
func (s *Store) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.limit == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, s.limit)
}

// tx runs f in one transaction, which is committed if f returns nil. The error is as fail makes it. Where the database
// undid the transaction in favour of another, f runs again.
func (s *Store) tx(ctx context.Context, what string, f func(*sql.Tx) error) error {
	for try := 1; ; try++ {
		err := s.tryTx(ctx, f)
		if err == nil || try == tries || s.lostRace == nil || !s.lostRace(err) {
			return fail(ctx, what, err)
		}
	}
}

const tries = 4

func (s *Store) tryTx(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		_ = tx.Rollback() // the first error is the one to tell
		return err
	}
	return tx.Commit()
}

// fail says in which operation the driver failed. An [authcore.Error] passes as it is.
func fail(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*authcore.Error](err); ok {
		return e
	}
	if ctx.Err() != nil {
		err = ctx.Err() // database/sql says only that the transaction is over
	}
	return fmt.Errorf("sqlstore: %s: %w", what, err)
}

// affected returns how many rows a statement changed.
func affected(r sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// row is what one row is read from.
type row interface{ Scan(dest ...any) error }

// collect reads rows to their end and closes them.
func collect[T any](rows *sql.Rows, scan func(row) (T, error)) ([]T, error) {
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

var (
	_ authcore.AccountStore    = (*Store)(nil)
	_ authcore.SessionStore    = (*Store)(nil)
	_ authcore.RevocationStore = (*Store)(nil)
	_ authcore.CodeStore       = (*Store)(nil)
	_ authcore.InviteStore     = (*Store)(nil)
	_ authcore.PhoneStore      = (*Store)(nil)
	_ authcore.DeviceStore     = (*Store)(nil)
	_ authcore.KeyStore        = (*Store)(nil)
)
