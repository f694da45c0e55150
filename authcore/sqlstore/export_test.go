package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
)

// The queries whose plan is looked at.
const (
	SelectSessionAccount = selectSessionAccount
	RevokeSessionsQuery  = revokeSessions
)

// Writer gives tests the connection that writes.
func (s *Store) Writer() *sql.DB { return s.write }

// Reader gives tests those that read.
func (s *Store) Reader() *sql.DB { return s.read }

// Fill lets an SQLite database grow by that many pages and no further, as a full disk would; -1 takes that back.
func (s *Store) Fill(ctx context.Context, pages int) error {
	limit := 1 << 30
	if pages >= 0 {
		if err := s.write.QueryRowContext(ctx, `PRAGMA page_count`).Scan(&limit); err != nil {
			return err
		}
		limit += pages
	}
	var got int
	return s.write.QueryRowContext(ctx, fmt.Sprintf(`PRAGMA max_page_count = %d`, limit)).Scan(&got)
}
