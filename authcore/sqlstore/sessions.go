package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

const selectSession = `SELECT account, id, created_at, last_seen_at, expires_at, idle_limit, generation, epoch, dialect,
	addr, user_agent, rotations, refreshed_by FROM sessions`

// CreateSession implements [authcore.SessionStore].
func (s *Store) CreateSession(ctx context.Context, n authcore.Session) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	idle := (n.IdleLimit + time.Millisecond - 1).Milliseconds() // rounded up: 0 would mean never
	addr := ""
	if n.Addr.IsValid() {
		addr = n.Addr.String()
	}
	agent := strings.ToValidUTF8(n.UserAgent, "\ufffd") // clients may send anything, but not every database takes it
	return s.tx(ctx, "create session", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO sessions (account, id, created_at, last_seen_at, expires_at, idle_limit, generation, epoch, dialect,
				addr, user_agent, rotations, refreshed_by)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
			string(n.Account), string(n.ID), n.CreatedAt.UnixMilli(), n.LastSeenAt.UnixMilli(), n.ExpiresAt.UnixMilli(), idle,
			n.Generation, n.Epoch, n.Dialect, addr, agent, string(n.Rotations), string(n.RefreshedBy))
		return err
	})
}

// Session implements [authcore.SessionStore].
func (s *Store) Session(ctx context.Context, account authcore.AccountID, id authcore.SessionID) (authcore.Session, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	found, err := scanSession(s.session(ctx, string(account), string(id)))
	if errors.Is(err, sql.ErrNoRows) {
		err = authcore.Errorf(authcore.KindSessionOver, "the session is over")
	}
	return found, fail(ctx, "read session", err)
}

// Sessions implements [authcore.SessionStore].
func (s *Store) Sessions(ctx context.Context, account authcore.AccountID) ([]authcore.Session, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	rows, err := s.read.QueryContext(ctx, selectSession+` WHERE account = $1 ORDER BY created_at DESC, id`, string(account))
	if err != nil {
		return nil, fail(ctx, "list sessions", err)
	}
	all, err := collect(rows, scanSession)
	return all, fail(ctx, "list sessions", err)
}

func scanSession(r row) (authcore.Session, error) {
	var s authcore.Session
	var created, seen, expires, idle int64
	var addr string
	err := r.Scan(&s.Account, &s.ID, &created, &seen, &expires, &idle, &s.Generation, &s.Epoch, &s.Dialect, &addr,
		&s.UserAgent, &s.Rotations, &s.RefreshedBy)
	if err != nil {
		return authcore.Session{}, err
	}
	if addr != "" {
		if s.Addr, err = netip.ParseAddr(addr); err != nil {
			return authcore.Session{}, fmt.Errorf("session %s has a malformed address", s.ID)
		}
	}
	s.CreatedAt, s.LastSeenAt, s.ExpiresAt = fromMillis(created), fromMillis(seen), fromMillis(expires)
	s.IdleLimit = time.Duration(idle) * time.Millisecond
	return s, nil
}

// TouchSessions implements [authcore.SessionStore].
func (s *Store) TouchSessions(ctx context.Context, touches []authcore.Touch) error {
	if len(touches) == 0 {
		return nil
	}
	ctx, cancel := s.bound(ctx)
	defer cancel()
	// In the same order everywhere, so that two nodes with the same sessions wait for each other and do not deadlock.
	touches = slices.SortedFunc(slices.Values(touches), func(a, b authcore.Touch) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Session, b.Session))
	})
	return s.tx(ctx, "touch sessions", func(tx *sql.Tx) error {
		stmt, err := tx.PrepareContext(ctx, `UPDATE sessions SET last_seen_at = $1
			WHERE account = $2 AND id = $3 AND last_seen_at < $1`)
		if err != nil {
			return err
		}
		defer stmt.Close()
		for _, t := range touches {
			if _, err := stmt.ExecContext(ctx, t.At.UnixMilli(), string(t.Account), string(t.Session)); err != nil {
				return err
			}
		}
		return nil
	})
}

// rotateSession reads the generation as it was in every place: $3 is the one that is given, $4 the next one.
const rotateSession = `UPDATE sessions SET generation = $4, refreshed_by = $6, rotations = CASE
		WHEN generation = $3 THEN RTRIM(SUBSTR(CAST($5 AS TEXT) || ',' || rotations, 1, $7), ',')
		WHEN generation < $3 THEN $5
		ELSE rotations END
	WHERE account = $1 AND id = $2 AND generation <= $4`

// RotateSession implements [authcore.SessionStore].
func (s *Store) RotateSession(ctx context.Context, account authcore.AccountID, id authcore.SessionID, generation int64, r authcore.Rotation) (
	authcore.Session, error,
) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	var n authcore.Session
	err := s.tx(ctx, "rotate session", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, rotateSession, string(account), string(id), generation, generation+1,
			string(authcore.Rotations("").Add(r.At)), string(r.By), authcore.MaxRotationsSize)
		if err != nil {
			return err
		}
		n, err = scanSession(tx.QueryRowContext(ctx, selectSession+` WHERE account = $1 AND id = $2`, string(account), string(id)))
		if errors.Is(err, sql.ErrNoRows) {
			err = authcore.Errorf(authcore.KindSessionOver, "the session is over")
		}
		return err
	})
	if err != nil {
		return authcore.Session{}, err
	}
	return n, nil
}

// EndSession implements [authcore.SessionStore].
func (s *Store) EndSession(ctx context.Context, account authcore.AccountID, id authcore.SessionID) (bool, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	var n int64
	err := s.tx(ctx, "end session", func(tx *sql.Tx) (err error) {
		n, err = affected(tx.ExecContext(ctx, `DELETE FROM sessions WHERE account = $1 AND id = $2`,
			string(account), string(id)))
		return err
	})
	return err == nil && n == 1, err
}

// EndSessions implements [authcore.SessionStore].
func (s *Store) EndSessions(ctx context.Context, account authcore.AccountID, epoch int64, except authcore.SessionID) (
	[]authcore.SessionID, error,
) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	var ended []authcore.SessionID
	err := s.tx(ctx, "end sessions", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `DELETE FROM sessions WHERE account = $1 AND id <> $2 AND epoch < $3
			RETURNING id`, string(account), string(except), epoch)
		if err != nil {
			return err
		}
		ended, err = collect(rows, func(r row) (id authcore.SessionID, err error) { return id, r.Scan(&id) })
		return err
	})
	if err != nil {
		return nil, err
	}
	return ended, nil
}

// DeleteExpired implements [authcore.SessionStore].
func (s *Store) DeleteExpired(ctx context.Context, now time.Time) (int, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	var n int64
	err := s.tx(ctx, "delete expired sessions", func(tx *sql.Tx) error {
		n = 0
		for _, query := range []string{
			`DELETE FROM sessions WHERE expires_at < $1`,
			`DELETE FROM sessions WHERE idle_limit > 0 AND last_seen_at + idle_limit < $1`,
		} { // two statements, each with an index
			deleted, err := affected(tx.ExecContext(ctx, query, now.UnixMilli()))
			if err != nil {
				return err
			}
			n += deleted
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return int(n), nil
}
