package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// RevokeSession implements [authcore.RevocationStore].
func (s *Store) RevokeSession(ctx context.Context, account authcore.AccountID, id authcore.SessionID, forget time.Time) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	return s.tx(ctx, "revoke session", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO revoked_sessions (account, id, forget_at) VALUES ($1, $2, $3)
			ON CONFLICT (account, id) DO UPDATE SET forget_at = excluded.forget_at
			WHERE revoked_sessions.forget_at < excluded.forget_at`,
			string(account), string(id), forget.UnixMilli())
		return err
	})
}

// A concurrent revocation of the kept session need not be visible here: a revoked session is over, kept or not.
const revokeSessions = `UPDATE accounts SET epoch = epoch + 1, kept = CASE
	WHEN (epoch = $3 OR kept = $2) AND NOT EXISTS (SELECT 1 FROM revoked_sessions WHERE account = $1 AND id = $2)
	THEN $2 ELSE '' END
	WHERE id = $1 RETURNING epoch, kept`

// RevokeSessions implements [authcore.RevocationStore].
func (s *Store) RevokeSessions(ctx context.Context, account authcore.AccountID, kept authcore.Session) (
	epoch int64, lives authcore.SessionID, err error,
) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	err = s.tx(ctx, "revoke sessions", func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, revokeSessions, string(account), string(kept.ID), kept.Epoch).Scan(&epoch, &lives)
		if errors.Is(err, sql.ErrNoRows) {
			err = unknownAccount()
		}
		return err
	})
	if err != nil {
		return 0, "", err
	}
	return epoch, lives, nil
}

// SessionAccount implements [authcore.RevocationStore].
func (s *Store) SessionAccount(ctx context.Context, account authcore.AccountID, id authcore.SessionID) (
	a authcore.Account, revoked bool, err error,
) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	a, err = scanAccount(ctx, s.sessionAccount(ctx, string(account), string(id)), &revoked)
	return a, err == nil && revoked, err
}

// DeleteRevocations implements [authcore.RevocationStore].
func (s *Store) DeleteRevocations(ctx context.Context, now time.Time) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	return s.tx(ctx, "delete revocations", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM revoked_sessions WHERE forget_at < $1`, now.UnixMilli())
		return err
	})
}
