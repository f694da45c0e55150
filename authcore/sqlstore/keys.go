package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// Keys implements [authcore.KeyStore]. The newest is the one that was added last, whatever the clock said then.
func (s *Store) Keys(ctx context.Context, p authcore.KeyPurpose) ([]authcore.Key, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	rows, err := s.read.QueryContext(ctx, `SELECT id, purpose, secret, created_at, retired_at, delete_at FROM keys
		WHERE purpose = $1 ORDER BY number DESC`, string(p))
	if err != nil {
		return nil, fail(ctx, "read keys", err)
	}
	all, err := collect(rows, func(r row) (k authcore.Key, err error) {
		var created int64
		var retired, del sql.NullInt64
		err = r.Scan(&k.ID, &k.Purpose, &k.Secret, &created, &retired, &del)
		k.CreatedAt, k.RetiredAt, k.DeleteAt = fromMillis(created), fromNullMillis(retired), fromNullMillis(del)
		return k, err
	})
	return all, fail(ctx, "read keys", err)
}

// errLost rolls back a transaction that lost a race.
var errLost = errors.New("another node has added a key")

// AddKey implements [authcore.KeyStore]. The newest key of a purpose is the one that is not retired, and a unique index
// allows one such key. Two callers race to retire it and to add the next.
func (s *Store) AddKey(ctx context.Context, k authcore.Key, newest string, retireUntil time.Time) (bool, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	err := s.tx(ctx, "add key", func(tx *sql.Tx) error {
		if newest != "" {
			n, err := affected(tx.ExecContext(ctx, `UPDATE keys SET retired_at = $1, delete_at = $2
				WHERE purpose = $3 AND id = $4 AND retired_at IS NULL`,
				k.CreatedAt.UnixMilli(), toNullMillis(retireUntil), string(k.Purpose), newest))
			if err != nil {
				return err
			}
			if n == 0 {
				return errLost
			}
		}
		n, err := affected(tx.ExecContext(ctx, `
			INSERT INTO keys (purpose, id, secret, created_at, delete_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (purpose) WHERE retired_at IS NULL DO NOTHING`,
			string(k.Purpose), k.ID, k.Secret, k.CreatedAt.UnixMilli(), toNullMillis(k.DeleteAt)))
		if err == nil && n == 0 {
			err = errLost
		}
		return err
	})
	if errors.Is(err, errLost) {
		return false, nil
	}
	return err == nil, err
}

// DeleteKeys implements [authcore.KeyStore].
func (s *Store) DeleteKeys(ctx context.Context, now time.Time) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	return s.tx(ctx, "delete keys", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM keys WHERE delete_at < $1`, now.UnixMilli())
		return err
	})
}

func toNullMillis(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMilli(), Valid: !t.IsZero()}
}

func fromNullMillis(ms sql.NullInt64) time.Time {
	if !ms.Valid {
		return time.Time{}
	}
	return fromMillis(ms.Int64)
}
