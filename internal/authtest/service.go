// Package authtest runs a service of accounts for tests of its clients.
package authtest

import (
	"path/filepath"
	"sync"
	"sync/atomic"
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
	now := new(clock)
	o := authcore.StateOptions{
		Accounts: store, Sessions: store, Revocations: store, Codes: store, Invites: store, Devices: store, Keys: store, Limits: limits,
		KeyRotate: 24 * time.Hour, MaxTokens: 30 * 24 * time.Hour, Now: now.read,
	}
	p := authcore.DefaultPolicy()
	p.Hash = authcore.HasherOptions{Cost: authcore.Argon2{Memory: 64, Time: 1, Threads: 1}, Parallel: 2, Queue: 1000, Wait: time.Minute}
	p.LoginRate, p.SignupRate = authcore.Rate{Burst: 100_000, Per: time.Second}, authcore.Rate{Burst: 100_000, Per: time.Second}
	for _, f := range change {
		f(&p)
	}
	return over(t, o, p, now)
}

// Over makes a service over stores.
func Over(t testing.TB, o authcore.StateOptions, p authcore.Policy) *authcore.Service {
	t.Helper()
	return over(t, o, p, nil)
}

func over(t testing.TB, o authcore.StateOptions, p authcore.Policy, now *clock) *authcore.Service {
	t.Helper()
	st, err := authcore.OpenState(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	s, err := authcore.NewService(authcore.ServiceOptions{State: st, Policy: p})
	if err != nil {
		t.Fatal(err)
	}
	houses.Store(s, house{st, o, now})
	t.Cleanup(func() { houses.Delete(s) })
	return s
}

// house is what is behind a service.
type house struct {
	state  *authcore.State
	stores authcore.StateOptions
	now    *clock // nil if it is not ours
}

var houses sync.Map // house by *authcore.Service

func houseOf(s *authcore.Service) house {
	h, _ := houses.Load(s)
	return h.(house)
}

// State returns the state behind a service of this package.
func State(s *authcore.Service) *authcore.State { return houseOf(s).state }

// Stores returns the stores behind a service of this package, for what no dialect may do.
func Stores(s *authcore.Service) authcore.StateOptions { return houseOf(s).stores }

// SetClock sets what a service that [Service] made takes for the time.
func SetClock(s *authcore.Service, now func() time.Time) { houseOf(s).now.set.Store(&now) }

// clock is the system's until it is set.
type clock struct {
	set atomic.Pointer[func() time.Time]
}

func (c *clock) read() time.Time {
	if now := c.set.Load(); now != nil {
		return (*now)()
	}
	return time.Now()
}
