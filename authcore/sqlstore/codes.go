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

// TryEmailCodes implements [authcore.CodeStore].
func (s *Store) TryEmailCodes(ctx context.Context, emailHash []byte, now time.Time) ([]authcore.Code, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	var all []authcore.Code
	err := s.tx(ctx, "try e-mail codes", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `UPDATE codes SET tries = tries + 1
			WHERE purpose = $1 AND tries < $2 AND expires_at > $3
				AND account IN (SELECT id FROM accounts WHERE email_hash = $4 AND email_pending)
			RETURNING account, request, hash, tries, expires_at`,
			string(authcore.CodeEmail), authcore.CodeTries, now.UnixMilli(), emailHash)
		if err != nil {
			return err
		}
		all, err = collect(rows, func(r row) (authcore.Code, error) {
			var expires int64
			c := authcore.Code{Purpose: authcore.CodeEmail}
			err := r.Scan(&c.Account, &c.Request, &c.Hash, &c.Tries, &expires)
			c.ExpiresAt = fromMillis(expires)
			return c, err
		})
		if err != nil || len(all) > 0 {
			return err
		}
		var waits bool
		err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM accounts WHERE email_hash = $1 AND email_pending)`, emailHash).Scan(&waits)
		switch {
		case err != nil:
			return err
		case waits:
			return orBadCode(sql.ErrNoRows)
		default:
			return authcore.Errorf(authcore.KindInvalidEmail, "no account waits for this address")
		}
	})
	if err != nil {
		return nil, err
	}
	return all, nil
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
		var address []byte
		err := tx.QueryRowContext(ctx, `SELECT email_hash FROM accounts WHERE id = (SELECT account FROM codes WHERE request = $1)`,
			string(request)).Scan(&address)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err := s.lock(ctx, tx, addressLock(address)); err != nil { // before the code, which whoever confirms it takes away
			return err
		}
		err = tx.QueryRowContext(ctx, `DELETE FROM codes WHERE request = $1 AND purpose = $2 AND hash = $3 AND expires_at > $4
			RETURNING account`, string(request), string(authcore.CodeReset), code, now.UnixMilli()).Scan(&id)
		if err != nil {
			return orBadCode(err)
		}
		a, err = scanAccount(ctx, tx.QueryRowContext(ctx, `UPDATE accounts SET password_hash = $2, epoch = epoch + 1, kept = '',
			email_confirmed = email_confirmed OR email <> '' AND email_hash IS NOT NULL AND `+nobodyConfirmed+`
			WHERE id = $1 RETURNING `+accountColumns, id, string(hash)))
		switch {
		case err != nil:
			return err
		case a.Disabled:
			return authcore.Errorf(authcore.KindAccountDisabled, "this account is closed")
		case a.EmailConfirmed:
			return voidClaims(ctx, tx, id, a.EmailHash)
		default:
			return nil
		}
	})
	if err != nil {
		return authcore.Account{}, err
	}
	return a, nil
}

// nobodyConfirmed holds for an account whose address no other account has confirmed.
const nobodyConfirmed = `NOT EXISTS (SELECT 1 FROM accounts AS other
	WHERE other.email_hash = accounts.email_hash AND other.email_confirmed AND other.id <> accounts.id)`

// ConfirmEmail implements [authcore.CodeStore].
func (s *Store) ConfirmEmail(ctx context.Context, request authcore.RequestID, code, emailHash []byte, now time.Time) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	return s.tx(ctx, "confirm e-mail", func(tx *sql.Tx) error {
		if err := s.lock(ctx, tx, addressLock(emailHash)); err != nil {
			return err
		}
		var id string
		err := tx.QueryRowContext(ctx, `DELETE FROM codes WHERE request = $1 AND purpose = $2 AND hash = $3 AND expires_at > $4
			RETURNING account`, string(request), string(authcore.CodeEmail), code, now.UnixMilli()).Scan(&id)
		if err != nil {
			return orBadCode(err)
		}
		err = one(tx.ExecContext(ctx, `UPDATE accounts SET email_pending = false, email_confirmed = true
			WHERE id = $1 AND email_hash = $2 AND NOT email_confirmed AND `+nobodyConfirmed, id, emailHash))
		if err != nil {
			return orBadCode(err)
		}
		return voidClaims(ctx, tx, id, emailHash)
	})
}

// voidClaims takes an address from all accounts but the one that has confirmed it, and their codes, which may have been
// sent there.
func voidClaims(ctx context.Context, tx *sql.Tx, holder string, emailHash []byte) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM codes WHERE account IN (SELECT id FROM accounts WHERE email_hash = $1 AND id <> $2)`,
		emailHash, holder)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE accounts SET email = '', email_hash = NULL, email_pending = false
		WHERE email_hash = $1 AND id <> $2`, emailHash, holder)
	return err
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
