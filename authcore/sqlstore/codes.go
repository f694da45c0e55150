package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// PutCode implements [authcore.CodeStore].
func (s *Store) PutCode(ctx context.Context, c authcore.Code) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	return s.tx(ctx, "store code", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO codes (account, purpose, request, hash, tries, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (account, purpose) DO UPDATE SET request = excluded.request, hash = excluded.hash,
				tries = excluded.tries, expires_at = excluded.expires_at`,
			string(c.Account), string(c.Purpose), string(c.Request), c.Hash, c.Tries, c.ExpiresAt.UnixMilli())
		return err
	})
}

// TryCode implements [authcore.CodeStore].
func (s *Store) TryCode(ctx context.Context, p authcore.CodePurpose, request authcore.RequestID, now time.Time) (
	authcore.Code, error,
) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	c := authcore.Code{Request: request, Purpose: p}
	err := s.tx(ctx, "try code", func(tx *sql.Tx) error {
		var expires int64
		err := tx.QueryRowContext(ctx, `UPDATE codes SET tries = tries + 1
			WHERE request = $1 AND purpose = $2 AND tries < $3 AND expires_at > $4
			RETURNING account, hash, tries, expires_at`,
			string(request), string(p), authcore.CodeTries, now.UnixMilli()).Scan(&c.Account, &c.Hash, &c.Tries, &expires)
		c.ExpiresAt = fromMillis(expires)
		return orBadCode(err)
	})
	if err != nil {
		return authcore.Code{}, err
	}
	return c, nil
}

// ResetPassword implements [authcore.CodeStore]. Using a code deletes it, so only one of two callers can.
func (s *Store) ResetPassword(ctx context.Context, request authcore.RequestID, code []byte, hash authcore.PasswordHash,
	now time.Time,
) (authcore.Account, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	var a authcore.Account
	err := s.tx(ctx, "reset password", func(tx *sql.Tx) error {
		var id string
		err := tx.QueryRowContext(ctx, `DELETE FROM codes WHERE request = $1 AND purpose = $2 AND hash = $3 AND expires_at > $4
			RETURNING account`, string(request), string(authcore.CodeReset), code, now.UnixMilli()).Scan(&id)
		if err != nil {
			return orBadCode(err)
		}
		a, err = scanAccount(ctx, tx.QueryRowContext(ctx, `UPDATE accounts SET password_hash = $2, epoch = epoch + 1, kept = ''
			WHERE id = $1 RETURNING `+accountColumns, id, string(hash)))
		if err == nil && a.Disabled {
			err = authcore.Errorf(authcore.KindAccountDisabled, "this account is closed")
		}
		return err
	})
	if err != nil {
		return authcore.Account{}, err
	}
	return a, nil
}

// DeleteCodes implements [authcore.CodeStore].
func (s *Store) DeleteCodes(ctx context.Context, now time.Time) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	return s.tx(ctx, "delete codes", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM codes WHERE expires_at < $1`, now.UnixMilli())
		return err
	})
}

func orBadCode(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return authcore.Errorf(authcore.KindBadCode, "the code is not valid, or not any more")
	}
	return err
}
