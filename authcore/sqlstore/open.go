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

	// Run by every login and every first look-up of a session.
	accountByUsername lookup
	session           lookup
	sessionAccount    lookup
	knowsNetwork      lookup
	statements        []*sql.Stmt // used by them

	advise   adviser          // makes a transaction wait for others; nil where there is one at a time
	begin    string           // statements at the beginning of each transaction; may be empty
	limit    time.Duration    // of one call; 0 if the database needs none
	lostRace func(error) bool // reports whether a failed transaction is worth another try; may be nil
	release  func()           // frees further resources after closing; may be nil
	warnings []string
}

// lookup runs one query that returns at most one row.
type lookup func(ctx context.Context, args ...any) *sql.Row

const (
	selectAccountByUsername = selectAccount + ` WHERE username = $1`
	selectSessionByID       = selectSession + ` WHERE account = $1 AND id = $2`
	selectKnowsNetwork      = `SELECT EXISTS (SELECT 1 FROM networks WHERE account = $1 AND network = $2)`
	selectSessionAccount    = `SELECT ` + accountColumns + `,
	EXISTS (SELECT 1 FROM revoked_sessions WHERE account = $1 AND id = $2) FROM accounts WHERE id = $1`
)

// prepare makes the lookups for a database that needs prepared statements to be fast. The tables must exist.
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

// prepared makes the lookups for a driver that caches prepared statements itself.
func (s *Store) prepared() {
	for query, l := range s.lookups() {
		*l = func(ctx context.Context, args ...any) *sql.Row { return s.read.QueryRowContext(ctx, query, args...) }
	}
}

func (s *Store) lookups() map[string]*lookup {
	return map[string]*lookup{
		selectAccountByUsername: &s.accountByUsername, selectSessionByID: &s.session, selectSessionAccount: &s.sessionAccount,
		selectKnowsNetwork: &s.knowsNetwork,
	}
}

// Ping returns an error unless the database can be read.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	var any bool
	return fail(ctx, "ping", s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM accounts)`).Scan(&any))
}

// Close waits for running queries and closes the database.
func (s *Store) Close() error {
	var errs []error
	for _, stmt := range s.statements {
		errs = append(errs, stmt.Close())
	}
	// The writer last: the last connection merges the write-ahead log, which readers cannot.
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

// tx runs f in one transaction, and commits it if f returns nil. Errors pass through fail. If the database rolled the
// transaction back for another, f runs again.
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
	if s.begin != "" {
		_, err = tx.ExecContext(ctx, s.begin)
	}
	if err == nil {
		err = f(tx)
	}
	if err != nil {
		_ = tx.Rollback() // the first error is the cause
		return err
	}
	return tx.Commit()
}

// fail adds the operation to an error of the driver. An [authcore.Error] passes unchanged.
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

// row is a row to scan.
type row interface{ Scan(dest ...any) error }

// collect scans all rows and closes them.
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
