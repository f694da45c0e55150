// Package authtest runs a service of accounts for tests of its clients.
package authtest

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/sqlstore"
)

// Service makes a service over a new database, with cheap hashes and rates that no test reaches.
func Service(t testing.TB, change ...func(*authcore.Policy)) *authcore.Service {
	t.Helper()
	store, err := sqlstore.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "chatgate.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	limits, err := authcore.NewMemoryLimits(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	st, err := authcore.OpenState(t.Context(), authcore.StateOptions{
		Accounts: store, Sessions: store, Revocations: store, Codes: store, Invites: store, Devices: store, Keys: store, Limits: limits,
		KeyRotate: 24 * time.Hour, MaxTokens: 30 * 24 * time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	p := authcore.DefaultPolicy()
	p.Hash = authcore.HasherOptions{Cost: authcore.Argon2{Memory: 64, Time: 1, Threads: 1}, Parallel: 2, Queue: 1000, Wait: time.Minute}
	p.LoginRate, p.SignupRate = authcore.Rate{Burst: 100_000, Per: time.Second}, authcore.Rate{Burst: 100_000, Per: time.Second}
	for _, f := range change {
		f(&p)
	}
	return Over(t, st, p)
}

// Over makes a service over a state.
func Over(t testing.TB, st *authcore.State, p authcore.Policy) *authcore.Service {
	t.Helper()
	s, err := authcore.NewService(authcore.ServiceOptions{State: st, Policy: p})
	if err != nil {
		t.Fatal(err)
	}
	states.Store(s, st)
	t.Cleanup(func() { states.Delete(s) })
	return s
}

var states sync.Map // *authcore.State by *authcore.Service

// State returns the state of a service of this package, for what dialects cannot do.
func State(s *authcore.Service) *authcore.State {
	st, _ := states.Load(s)
	return st.(*authcore.State)
}
