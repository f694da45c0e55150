package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// NoteDevice implements [authcore.DeviceStore].
func (s *Store) NoteDevice(ctx context.Context, account authcore.AccountID, device []byte, now time.Time) (
	known, others bool, err error,
) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	err = s.tx(ctx, "note device", func(tx *sql.Tx) (err error) {
		if known, err = noteDevice(ctx, tx, string(account), device, now.UnixMilli()); err != nil {
			return err
		}
		if !known {
			// Lock the account, so that of several devices that are new at once each sees those before it.
			if _, err := tx.ExecContext(ctx, `UPDATE accounts SET epoch = epoch WHERE id = $1`, string(account)); err != nil {
				return err
			}
		}
		return tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM devices WHERE account = $1 AND device <> $2)`,
			string(account), device).Scan(&others)
	})
	if err != nil {
		return false, false, err
	}
	return known, others, nil
}

// noteDevice stores a device and reports whether it was known. It updates first, because a concurrent DeleteDevices spares
// an updated row.
func noteDevice(ctx context.Context, tx *sql.Tx, account string, device []byte, now int64) (known bool, err error) {
	for range 2 {
		n, err := affected(tx.ExecContext(ctx, `UPDATE devices SET seen_at = CASE WHEN seen_at < $3 THEN $3 ELSE seen_at END
			WHERE account = $1 AND device = $2`, account, device, now))
		if err != nil || n == 1 {
			return err == nil, err
		}
		n, err = affected(tx.ExecContext(ctx, `INSERT INTO devices (account, device, seen_at) VALUES ($1, $2, $3)
			ON CONFLICT DO NOTHING`, account, device, now))
		if err != nil || n == 1 {
			return false, err
		}
		// Another caller inserted it just now.
	}
	return true, nil
}

// DeleteDevices implements [authcore.DeviceStore].
func (s *Store) DeleteDevices(ctx context.Context, before time.Time) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	return s.tx(ctx, "delete devices", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM devices WHERE seen_at < $1`, before.UnixMilli())
		return err
	})
}
