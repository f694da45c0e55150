package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

const (
	accountColumns = `number, id, username, display_name, avatar_url, bot, email, email_hash, password_hash, disabled,
	phone_pending, email_pending, epoch, kept, created_at`
	selectAccount = `SELECT ` + accountColumns + ` FROM accounts`
)

// CreateAccount implements [authcore.AccountStore].
func (s *Store) CreateAccount(ctx context.Context, a authcore.Account, invite []byte) (authcore.Account, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	a.EmailHash = append([]byte(nil), a.EmailHash...) // empty becomes nil
	a.CreatedAt = fromMillis(a.CreatedAt.UnixMilli())
	skeleton := a.Username.Skeleton()
	err := s.tx(ctx, "create account", func(tx *sql.Tx) error {
		if invite != nil {
			if err := redeem(ctx, tx, invite, a); err != nil {
				return err
			}
		}
		err := tx.QueryRowContext(ctx, `
			INSERT INTO accounts (id, username, skeleton, display_name, avatar_url, bot, email, email_hash, password_hash,
				disabled, phone_pending, email_pending, epoch, kept, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
			ON CONFLICT DO NOTHING RETURNING number`,
			string(a.ID), string(a.Username), skeleton, a.DisplayName, a.AvatarURL, a.Bot, a.Email, a.EmailHash,
			string(a.PasswordHash), a.Disabled, a.PhonePending, a.EmailPending, a.Epoch, string(a.Kept), a.CreatedAt.UnixMilli()).Scan(&a.Number)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		return whoseAccount(ctx, tx, a, skeleton)
	})
	if err != nil {
		return authcore.Account{}, err
	}
	return a, nil
}

// whoseAccount returns the error for the unique column of a that conflicted.
func whoseAccount(ctx context.Context, tx *sql.Tx, a authcore.Account, skeleton string) error {
	var name, email bool
	err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM accounts WHERE username = $1 OR skeleton = $2),
		EXISTS (SELECT 1 FROM accounts WHERE email_hash = $3)`,
		string(a.Username), skeleton, a.EmailHash).Scan(&name, &email)
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
	return scanAccount(ctx, s.read.QueryRowContext(ctx, selectAccount+` WHERE email_hash = $1`, hash))
}

// scanAccount reads the columns of an account, and further ones into more.
func scanAccount(ctx context.Context, r row, more ...any) (a authcore.Account, err error) {
	var created int64
	err = r.Scan(append([]any{
		&a.Number, &a.ID, &a.Username, &a.DisplayName, &a.AvatarURL, &a.Bot, &a.Email, &a.EmailHash, &a.PasswordHash,
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
	var a authcore.Account
	err := s.tx(ctx, "set profile", func(tx *sql.Tx) (err error) {
		a, err = scanAccount(ctx, tx.QueryRowContext(ctx, `UPDATE accounts
			SET display_name = COALESCE($2, display_name), avatar_url = COALESCE($3, avatar_url)
			WHERE id = $1 RETURNING `+accountColumns, string(id), displayName, avatarURL))
		return err
	})
	if err != nil {
		return authcore.Account{}, err
	}
	return a, nil
}

func unknownAccount() error {
	return authcore.Errorf(authcore.KindUnknownAccount, "no such account")
}

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
