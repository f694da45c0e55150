package sqlstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"slices"
)

// adviser makes a transaction wait until no other has the lock of a key, and has it until its end.
type adviser func(ctx context.Context, tx *sql.Tx, key int64) error

// lock makes a transaction wait for others that decide about the same things, where the database lets two of them run at
// once. What it decides then still holds when it commits. It comes before everything else in the transaction; a nil name
// is of nothing.
func (s *Store) lock(ctx context.Context, tx *sql.Tx, names ...[]byte) error {
	if s.advise == nil {
		return nil
	}
	slices.SortFunc(names, bytes.Compare) // so that nobody waits for whoever waits for them
	for _, name := range names {
		if name == nil {
			continue
		}
		sum := sha256.Sum256(name)
		if err := s.advise(ctx, tx, int64(binary.BigEndian.Uint64(sum[:]))); err != nil { //nolint:gosec // any number will do
			return err
		}
	}
	return nil
}

// addressLock names the lock of those who make an account with an address, or confirm it.
func addressLock(emailHash []byte) []byte {
	if len(emailHash) == 0 {
		return nil
	}
	return append([]byte("address "), emailHash...)
}

// nameLock names the lock of those who give an account a username or a display name with a skeleton.
func nameLock(skeleton string) []byte {
	if skeleton == "" {
		return nil
	}
	return []byte("name " + skeleton)
}

func postgresAdvise(ctx context.Context, tx *sql.Tx, key int64) error {
	_, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, key)
	return err
}
