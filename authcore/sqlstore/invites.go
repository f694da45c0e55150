package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

const selectInvite = `SELECT id, hash, uses, used, email_hash, created_at, expires_at, revoked_at FROM invites`

// AddInvite implements [authcore.InviteStore].
func (s *Store) AddInvite(ctx context.Context, i authcore.Invite) (bool, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	var n int64
	err := s.tx(ctx, "add invite", func(tx *sql.Tx) (err error) {
		n, err = affected(tx.ExecContext(ctx, `
			INSERT INTO invites (id, hash, uses, used, email_hash, created_at, expires_at, revoked_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (hash) DO NOTHING`,
			string(i.ID), i.Hash, i.Uses, i.Used, append([]byte(nil), i.EmailHash...), i.CreatedAt.UnixMilli(),
			i.ExpiresAt.UnixMilli(), toNullMillis(i.RevokedAt)))
		return err
	})
	return err == nil && n == 1, err
}

// InviteByHash implements [authcore.InviteStore].
func (s *Store) InviteByHash(ctx context.Context, hash []byte) (authcore.Invite, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	i, err := scanInvite(s.read.QueryRowContext(ctx, selectInvite+` WHERE hash = $1`, hash))
	if errors.Is(err, sql.ErrNoRows) {
		err = badInvite()
	}
	return i, fail(ctx, "read invite", err)
}

// Invites implements [authcore.InviteStore].
func (s *Store) Invites(ctx context.Context) ([]authcore.Invite, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	rows, err := s.read.QueryContext(ctx, selectInvite+` ORDER BY created_at DESC, id`)
	if err != nil {
		return nil, fail(ctx, "list invites", err)
	}
	all, err := collect(rows, scanInvite)
	return all, fail(ctx, "list invites", err)
}

func scanInvite(r row) (authcore.Invite, error) {
	var i authcore.Invite
	var created, expires int64
	var revoked sql.NullInt64
	err := r.Scan(&i.ID, &i.Hash, &i.Uses, &i.Used, &i.EmailHash, &created, &expires, &revoked)
	if err != nil {
		return authcore.Invite{}, err
	}
	i.CreatedAt, i.ExpiresAt, i.RevokedAt = fromMillis(created), fromMillis(expires), fromNullMillis(revoked)
	return i, nil
}

// RevokeInvite implements [authcore.InviteStore].
func (s *Store) RevokeInvite(ctx context.Context, id authcore.InviteID, now time.Time) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	return s.tx(ctx, "revoke invite", func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `UPDATE invites SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1`,
			string(id), now.UnixMilli()))
		if err == nil && n == 0 {
			err = authcore.Errorf(authcore.KindNotFound, "there is no such invite")
		}
		return err
	})
}

// redeem takes one use of an invite, in the transaction that creates the account.
func redeem(ctx context.Context, tx *sql.Tx, hash []byte, a authcore.Account) error {
	n, err := affected(tx.ExecContext(ctx, `UPDATE invites SET used = used + 1
		WHERE hash = $1 AND used < uses AND revoked_at IS NULL AND expires_at > $2 AND (email_hash IS NULL OR email_hash = $3)`,
		hash, a.CreatedAt.UnixMilli(), a.EmailHash))
	if err == nil && n == 0 {
		err = badInvite()
	}
	return err
}

func badInvite() error {
	return authcore.Errorf(authcore.KindBadInvite, "the invite is not valid, or not any more")
}
