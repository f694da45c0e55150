package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// PhoneValidated implements [authcore.PhoneStore].
func (s *Store) PhoneValidated(ctx context.Context, phone []byte) (bool, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	var is bool
	err := s.read.QueryRowContext(ctx, selectPhone, phone).Scan(&is)
	return err == nil && is, fail(ctx, "read phone", err)
}

const selectPhone = `SELECT EXISTS (SELECT 1 FROM phones WHERE phone = $1)`

// PutPhoneCode implements [authcore.PhoneStore]. It locks the account first, as ValidatePhone does, so that one of the two
// waits for the other there.
func (s *Store) PutPhoneCode(ctx context.Context, c authcore.PhoneCode) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	return s.tx(ctx, "store phone code", func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `UPDATE accounts SET phone_pending = phone_pending WHERE id = $1 AND phone_pending`,
			string(c.Account)))
		if err != nil {
			return err
		}
		if n == 0 {
			return unknownAccount()
		}
		var taken bool
		if err := tx.QueryRowContext(ctx, selectPhone, c.Phone).Scan(&taken); err != nil {
			return err
		}
		if taken {
			return authcore.Errorf(authcore.KindPhoneTaken, "this phone number was validated already")
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO phone_codes (account, phone, hash, tries, expires_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (account) DO UPDATE SET phone = excluded.phone, hash = excluded.hash, tries = excluded.tries,
				expires_at = excluded.expires_at`,
			string(c.Account), c.Phone, c.Hash, c.Tries, c.ExpiresAt.UnixMilli())
		return err
	})
}

// TryPhoneCodes implements [authcore.PhoneStore].
func (s *Store) TryPhoneCodes(ctx context.Context, phone []byte, now time.Time) ([]authcore.PhoneCode, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	var all []authcore.PhoneCode
	err := s.tx(ctx, "try phone codes", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `UPDATE phone_codes SET tries = tries + 1
			WHERE phone = $1 AND tries < $2 AND expires_at > $3
			RETURNING account, phone, hash, tries, expires_at`, phone, authcore.CodeTries, now.UnixMilli())
		if err != nil {
			return err
		}
		all, err = collect(rows, func(r row) (c authcore.PhoneCode, err error) {
			var expires int64
			err = r.Scan(&c.Account, &c.Phone, &c.Hash, &c.Tries, &expires)
			c.ExpiresAt = fromMillis(expires)
			return c, err
		})
		if err != nil || len(all) > 0 {
			return err
		}
		var spent bool
		err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM phone_codes WHERE phone = $1 AND expires_at > $2)`,
			phone, now.UnixMilli()).Scan(&spent)
		switch {
		case err != nil:
			return err
		case spent:
			return orBadCode(sql.ErrNoRows)
		default:
			return authcore.Errorf(authcore.KindInvalidPhone, "no code was sent to this number, or none that is still good")
		}
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// ValidatePhone implements [authcore.PhoneStore]. Of several accounts with one number, the first to insert the number
// wins; the others wait for it there, and hold no lock that it needs.
func (s *Store) ValidatePhone(ctx context.Context, c authcore.PhoneCode, now time.Time) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	return s.tx(ctx, "validate phone", func(tx *sql.Tx) error {
		if err := one(tx.ExecContext(ctx, `UPDATE accounts SET phone_pending = false WHERE id = $1 AND phone_pending`,
			string(c.Account))); err != nil {
			return orBadCode(err)
		}
		if err := one(tx.ExecContext(ctx, `INSERT INTO phones (phone) VALUES ($1) ON CONFLICT DO NOTHING`, c.Phone)); err != nil {
			return orBadCode(err)
		}
		if err := one(tx.ExecContext(ctx, `DELETE FROM phone_codes WHERE account = $1 AND phone = $2 AND hash = $3 AND expires_at > $4`,
			string(c.Account), c.Phone, c.Hash, now.UnixMilli())); err != nil {
			return orBadCode(err)
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM phone_codes WHERE phone = $1`, c.Phone)
		return err
	})
}

// one returns sql.ErrNoRows if a statement changed no row.
func one(r sql.Result, err error) error {
	n, err := affected(r, err)
	if err == nil && n == 0 {
		err = sql.ErrNoRows
	}
	return err
}

// The accounts that SetPendingEmail may change.
const emailIsPending = `(phone_pending OR email_pending) AND (email_pending OR email_hash IS NULL)`

// SetPendingEmail implements [authcore.PhoneStore].
func (s *Store) SetPendingEmail(ctx context.Context, account authcore.AccountID, emailHash []byte) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	emailHash = append([]byte(nil), emailHash...) // empty becomes nil
	return s.tx(ctx, "set pending e-mail", func(tx *sql.Tx) error {
		if err := s.lock(ctx, tx, addressLock(emailHash)); err != nil {
			return err
		}
		err := one(tx.ExecContext(ctx, `UPDATE accounts SET email_hash = $2, email_pending = $3
			WHERE id = $1 AND `+emailIsPending+`
			AND NOT EXISTS (SELECT 1 FROM accounts AS other WHERE other.email_hash = $2 AND other.email_confirmed AND other.id <> $1)`,
			string(account), emailHash, len(emailHash) > 0))
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		var able bool
		err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM accounts WHERE id = $1 AND `+emailIsPending+`)`, string(account)).Scan(&able)
		switch {
		case err != nil:
			return err
		case able:
			return authcore.Errorf(authcore.KindEmailTaken, "this e-mail address belongs to another account")
		default:
			return unknownAccount()
		}
	})
}

// DeletePhoneCodes implements [authcore.PhoneStore].
func (s *Store) DeletePhoneCodes(ctx context.Context, now time.Time) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	return s.tx(ctx, "delete phone codes", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM phone_codes WHERE expires_at < $1 OR tries >= $2`, now.UnixMilli(), authcore.CodeTries)
		return err
	})
}

// DeleteUnvalidated implements [authcore.PhoneStore].
func (s *Store) DeleteUnvalidated(ctx context.Context, before, now time.Time) (int, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	var gone []string
	err := s.tx(ctx, "delete unvalidated accounts", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `DELETE FROM accounts WHERE phone_pending AND NOT disabled AND created_at < $1
			AND NOT EXISTS (SELECT 1 FROM phone_codes WHERE phone_codes.account = accounts.id AND expires_at > $2) RETURNING skeleton`,
			before.UnixMilli(), now.UnixMilli())
		if err != nil {
			return err
		}
		if gone, err = collect(rows, func(r row) (skeleton string, err error) { return skeleton, r.Scan(&skeleton) }); err != nil {
			return err
		}
		locks := make([][]byte, 0, len(gone))
		for _, skeleton := range gone {
			locks = append(locks, nameLock(skeleton))
		}
		if err := s.lock(ctx, tx, locks...); err != nil {
			return err
		}
		for _, skeleton := range gone { // a username that is taken at once is seen by now
			_, err := tx.ExecContext(ctx, `UPDATE accounts SET display_clash = false WHERE display_skeleton = $1 AND display_clash
				AND NOT EXISTS (SELECT 1 FROM accounts AS other WHERE other.skeleton = $1 AND other.id <> accounts.id)`, skeleton)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return len(gone), nil
}
