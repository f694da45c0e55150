package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

const (
	accountColumns = `number, id, username, display_name, display_clash, avatar_url, bot, email, email_hash, email_confirmed, password_hash, disabled,
	phone_pending, email_pending, epoch, kept, created_at`
	selectAccount = `SELECT ` + accountColumns + ` FROM accounts`
)

// CreateAccount implements [authcore.AccountStore].
func (s *Store) CreateAccount(ctx context.Context, a authcore.Account, c authcore.Creation) (authcore.Account, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	a.EmailHash = append([]byte(nil), a.EmailHash...) // empty becomes nil
	a.CreatedAt = fromMillis(a.CreatedAt.UnixMilli())
	skeleton, shown := a.Username.Skeleton(), authcore.DisplaySkeleton(a.DisplayName)
	err := s.tx(ctx, "create account", func(tx *sql.Tx) error {
		if err := s.lock(ctx, tx, addressLock(a.EmailHash), nameLock(skeleton), nameLock(shown)); err != nil {
			return err
		}
		if c.Invite != nil {
			if err := redeem(ctx, tx, c.Invite, a); err != nil {
				return err
			}
		}
		taken, err := emailTaken(ctx, tx, a, c)
		if err != nil {
			return err
		}
		if !taken {
			err = tx.QueryRowContext(ctx, `
				INSERT INTO accounts (id, username, skeleton, display_name, display_skeleton, display_clash, avatar_url, bot, email,
					email_hash, email_confirmed, password_hash, disabled, phone_pending, email_pending, epoch, kept, created_at)
				VALUES ($1, $2, $3, $4, $5, EXISTS (SELECT 1 FROM accounts AS other WHERE other.skeleton = $5), $6, $7, $8, $9, $10,
					$11, $12, $13, $14, $15, $16, $17)
				ON CONFLICT DO NOTHING RETURNING number, display_clash`,
				string(a.ID), string(a.Username), skeleton, a.DisplayName, shown, a.AvatarURL, a.Bot, a.Email, a.EmailHash, a.EmailConfirmed,
				string(a.PasswordHash), a.Disabled, a.PhonePending, a.EmailPending, a.Epoch, string(a.Kept), a.CreatedAt.UnixMilli()).
				Scan(&a.Number, &a.DisplayClash)
			if err == nil {
				_, err = tx.ExecContext(ctx, `UPDATE accounts SET display_clash = true
					WHERE display_skeleton = $1 AND id <> $2 AND NOT display_clash`, skeleton, string(a.ID))
			}
			if !errors.Is(err, sql.ErrNoRows) {
				return err
			}
		}
		return whoseAccount(ctx, tx, a, skeleton, taken)
	})
	if err != nil {
		return authcore.Account{}, err
	}
	return a, nil
}

// emailTaken reports whether the address of an account that is to be made is another's. Whoever else makes or confirms one
// with that address waits.
func emailTaken(ctx context.Context, tx *sql.Tx, a authcore.Account, c authcore.Creation) (taken bool, err error) {
	if len(a.EmailHash) == 0 {
		return false, nil
	}
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM accounts WHERE email_hash = $1 AND (email_confirmed OR $2))`,
		a.EmailHash, !c.SharedEmail || a.EmailConfirmed).Scan(&taken)
	return taken, err
}

// whoseAccount says what kept a from being stored: a name, before an address that is taken.
func whoseAccount(ctx context.Context, tx *sql.Tx, a authcore.Account, skeleton string, email bool) error {
	var name bool
	err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM accounts WHERE username = $1 OR skeleton = $2)`,
		string(a.Username), skeleton).Scan(&name)
	switch {
	case err != nil:
		return err
	case name:
		return authcore.Errorf(authcore.KindUsernameTaken, "this username is taken")
	case email:
		return authcore.Errorf(authcore.KindEmailTaken, "this e-mail address belongs to another account")
	default:
		return errors.New("there is an account with this ID already")
	}
}

// AccountByID implements [authcore.AccountStore].
func (s *Store) AccountByID(ctx context.Context, id authcore.AccountID) (authcore.Account, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	return scanAccount(ctx, s.read.QueryRowContext(ctx, selectAccount+` WHERE id = $1`, string(id)))
}

// AccountByUsername implements [authcore.AccountStore].
func (s *Store) AccountByUsername(ctx context.Context, name authcore.Username) (authcore.Account, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	return scanAccount(ctx, s.accountByUsername(ctx, string(name)))
}

// AccountByEmailHash implements [authcore.AccountStore].
func (s *Store) AccountByEmailHash(ctx context.Context, hash []byte) (authcore.Account, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	return scanAccount(ctx, s.read.QueryRowContext(ctx, selectAccount+` WHERE email_hash = $1
		ORDER BY email_confirmed DESC, number LIMIT 1`, hash))
}

// scanAccount reads the columns of an account, and further ones into more.
func scanAccount(ctx context.Context, r row, more ...any) (a authcore.Account, err error) {
	var created int64
	err = r.Scan(append([]any{
		&a.Number, &a.ID, &a.Username, &a.DisplayName, &a.DisplayClash, &a.AvatarURL, &a.Bot, &a.Email, &a.EmailHash, &a.EmailConfirmed, &a.PasswordHash,
		&a.Disabled, &a.PhonePending, &a.EmailPending, &a.Epoch, &a.Kept, &created,
	}, more...)...)
	if errors.Is(err, sql.ErrNoRows) {
		err = unknownAccount()
	}
	if err != nil {
		return authcore.Account{}, fail(ctx, "read account", err)
	}
	a.CreatedAt = fromMillis(created)
	return a, nil
}

// SwapPasswordHash implements [authcore.AccountStore].
func (s *Store) SwapPasswordHash(ctx context.Context, id authcore.AccountID, old, new authcore.PasswordHash) (bool, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	var n int64
	err := s.tx(ctx, "swap password hash", func(tx *sql.Tx) (err error) {
		n, err = affected(tx.ExecContext(ctx, `UPDATE accounts SET password_hash = $1 WHERE id = $2 AND password_hash = $3`,
			string(new), string(id), string(old)))
		return err
	})
	return err == nil && n == 1, err
}

// SetDisabled implements [authcore.AccountStore].
func (s *Store) SetDisabled(ctx context.Context, id authcore.AccountID, disabled bool) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	return s.tx(ctx, "set disabled", func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `UPDATE accounts SET disabled = $1 WHERE id = $2`, disabled, string(id)))
		if err == nil && n == 0 {
			err = unknownAccount()
		}
		return err
	})
}

// SetProfile implements [authcore.AccountStore].
func (s *Store) SetProfile(ctx context.Context, id authcore.AccountID, displayName, avatarURL *string) (authcore.Account, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	var shown *string
	if displayName != nil {
		sk := authcore.DisplaySkeleton(*displayName)
		shown = &sk
	}
	var a authcore.Account
	err := s.tx(ctx, "set profile", func(tx *sql.Tx) (err error) {
		if shown != nil {
			if err := s.lock(ctx, tx, nameLock(*shown)); err != nil {
				return err
			}
		}
		a, err = scanAccount(ctx, tx.QueryRowContext(ctx, `UPDATE accounts
			SET display_name = COALESCE($2, display_name), avatar_url = COALESCE($3, avatar_url),
				display_skeleton = COALESCE($4, display_skeleton),
				display_clash = CASE WHEN $4 IS NULL THEN display_clash
					ELSE EXISTS (SELECT 1 FROM accounts AS other WHERE other.skeleton = $4 AND other.id <> accounts.id) END
			WHERE id = $1 RETURNING `+accountColumns, string(id), displayName, avatarURL, shown))
		return err
	})
	if err != nil {
		return authcore.Account{}, err
	}
	return a, nil
}

// AccountsShownAs implements [authcore.AccountStore].
func (s *Store) AccountsShownAs(ctx context.Context, name authcore.Username) ([]authcore.AccountID, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	const what = "list accounts by display name"
	rows, err := s.read.QueryContext(ctx, `SELECT id FROM accounts WHERE display_skeleton = $1`, name.Skeleton())
	if err != nil {
		return nil, fail(ctx, what, err)
	}
	all, err := collect(rows, func(r row) (id authcore.AccountID, err error) { return id, r.Scan(&id) })
	return all, fail(ctx, what, err)
}

// readDisplayNames decides on the display names that a version without that left behind.
func (s *Store) readDisplayNames(ctx context.Context) error {
	type left struct{ id, name string }
	for {
		rows, err := s.write.QueryContext(ctx, `SELECT id, display_name FROM accounts
			WHERE display_skeleton IS NULL AND display_name <> '' ORDER BY number LIMIT 500`)
		if err != nil {
			return err
		}
		batch, err := collect(rows, func(r row) (l left, err error) { return l, r.Scan(&l.id, &l.name) })
		if err != nil || len(batch) == 0 {
			return err
		}
		err = s.tx(ctx, "read display names", func(tx *sql.Tx) error {
			for _, l := range batch {
				_, err := tx.ExecContext(ctx, `UPDATE accounts SET display_skeleton = $3, display_clash = $4 OR
						EXISTS (SELECT 1 FROM accounts AS other WHERE other.skeleton = $3 AND other.id <> accounts.id)
					WHERE id = $1 AND display_name = $2`, l.id, l.name, authcore.DisplaySkeleton(l.name), authcore.DisplayReserved(l.name))
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}

func unknownAccount() error {
	return authcore.Errorf(authcore.KindUnknownAccount, "no such account")
}

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
