package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// NoteNetwork implements [authcore.NetworkStore].
func (s *Store) NoteNetwork(ctx context.Context, account authcore.AccountID, network []byte, now time.Time) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	return s.tx(ctx, "note network", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO networks (account, network, seen_at) VALUES ($1, $2, $3)
			ON CONFLICT (account, network) DO UPDATE SET seen_at =
				CASE WHEN networks.seen_at < excluded.seen_at THEN excluded.seen_at ELSE networks.seen_at END`,
			string(account), network, now.UnixMilli())
		return err
	})
}

// KnowsNetwork implements [authcore.NetworkStore].
func (s *Store) KnowsNetwork(ctx context.Context, account authcore.AccountID, network []byte) (known bool, err error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	err = s.knowsNetwork(ctx, string(account), network).Scan(&known)
	return known, fail(ctx, "look up network", err)
}

// DeleteNetworks implements [authcore.NetworkStore].
func (s *Store) DeleteNetworks(ctx context.Context, before time.Time) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	return s.tx(ctx, "delete networks", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM networks WHERE seen_at < $1`, before.UnixMilli())
		return err
	})
}

var _ authcore.NetworkStore = (*Store)(nil)
