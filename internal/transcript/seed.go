package transcript

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/sqlstore"
	"github.com/chatgate/chatgate/internal/authtest"
)

// Seed puts what no client could into accounts.db in a directory, before a gateway starts with it: a service over that
// database, whose clock is behind by that much, is given to do.
func Seed(t testing.TB, dir string, behind time.Duration, do func(context.Context, *authcore.Service)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	db, err := sqlstore.OpenSQLite(ctx, filepath.Join(dir, "accounts.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	now := func() time.Time { return time.Now().Add(-behind) }
	limits, err := authcore.NewMemoryLimits(now)
	if err != nil {
		t.Fatal(err)
	}
	const forever = 400 * 24 * time.Hour
	stores := authcore.StateOptions{
		Accounts: db, Sessions: db, Revocations: db, Codes: db, Invites: db, Devices: db, Keys: db, Limits: limits,
		KeyRotate: forever, MaxTokens: forever, Now: now,
	}
	policy := authcore.DefaultPolicy()
	policy.Hash.Cost.Memory, policy.Hash.Cost.Time = 1024, 1
	do(ctx, authtest.Over(t, stores, policy))
}
