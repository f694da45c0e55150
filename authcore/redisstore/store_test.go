//go:build linux

package redisstore

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/storetest"
	"github.com/chatgate/chatgate/internal/redistest"
)

// fresh gives options under which nothing is stored yet, and that wait as long as a busy machine takes.
func fresh(o Options) Options {
	o.Prefix = rand.Text()
	if o.CommandTimeout == 0 {
		o.ConnectTimeout, o.CommandTimeout = 20*time.Second, 20*time.Second
	}
	return o
}

func open(t testing.TB, o Options) *Store {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	s, err := Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newSession(account authcore.AccountID) authcore.Session {
	at := time.Now().UTC().Truncate(time.Millisecond)
	return authcore.Session{
		ID: authcore.SessionID(rand.Text()), Account: account, CreatedAt: at, LastSeenAt: at, ExpiresAt: at.Add(30 * 24 * time.Hour),
		IdleLimit: 14 * 24 * time.Hour, Generation: 2, Epoch: 3, Dialect: "rooms", Addr: netip.MustParseAddr("192.0.2.7"),
		UserAgent: "agent/1.0",
	}
}

var rotation = authcore.Rotation{At: time.UnixMilli(1_700_000_000_000), By: "client-of-the-rotation"}

func runSessions(t *testing.T, o Options) {
	storetest.Run(t, func(t *testing.T) storetest.Stores {
		return storetest.Stores{Sessions: open(t, fresh(o)), SelfExpiring: true}
	})
}

func runLimits(t *testing.T, o Options) {
	storetest.RunLimits(t, func(t *testing.T, now func() time.Time) authcore.LimitStore {
		o := fresh(o)
		o.Now = now
		return open(t, o)
	}, "flood")
}

func TestSingle(t *testing.T) {
	t.Parallel()
	o := Options{URLs: []string{redistest.Start(t).URL()}}
	runSessions(t, o)
	t.Run("limits", func(t *testing.T) { runLimits(t, o) })
}

func TestCluster(t *testing.T) {
	t.Parallel()
	nodes := redistest.StartCluster(t)
	o := Options{URLs: []string{nodes[1].URL(), nodes[2].URL()}, Mode: Cluster}
	runSessions(t, o)
	t.Run("limits", func(t *testing.T) { runLimits(t, o) })
	for i, n := range nodes { // every node had its share
		if size, err := n.Client().DBSize(t.Context()).Result(); err != nil || size == 0 {
			t.Errorf("node %d has %d keys, %v", i, size, err)
		}
	}
}

// TestServerClock checks the limits by the clock that they have in earnest.
func TestServerClock(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, fresh(Options{URLs: []string{server.URL()}}))
	ctx := t.Context()
	hour := authcore.Rate{Burst: 2, Per: time.Hour}
	for i := range 3 {
		wait, err := s.Take(ctx, authcore.LimitLogin, "key", hour)
		must(t, err)
		if i < 2 && wait != 0 || i == 2 && (wait <= 25*time.Minute || wait > 30*time.Minute) {
			t.Errorf("take %d: told to wait %v", i+1, wait)
		}
	}
	b := authcore.Backoff{Free: 1, Base: 100 * time.Millisecond, Max: time.Hour}
	waited := false
	for passed, deadline := 0, time.Now().Add(30*time.Second); passed < 3; {
		wait, err := s.Attempt(ctx, authcore.LimitAccount, "key", b)
		must(t, err)
		if wait <= 0 {
			passed++
			continue
		}
		if waited = true; wait > 400*time.Millisecond || time.Now().After(deadline) {
			t.Fatalf("told to wait %v after %d attempts", wait, passed)
		}
		time.Sleep(wait)
	}
	if !waited {
		t.Error("three attempts passed at once")
	}
	fast := authcore.Rate{Burst: 1, Per: 50 * time.Millisecond}
	for deadline := time.Now().Add(30 * time.Second); ; {
		wait, err := s.Take(ctx, authcore.LimitSignup, "key", fast)
		must(t, err)
		if wait > 50*time.Millisecond || time.Now().After(deadline) {
			t.Fatalf("told to wait %v", wait)
		}
		if wait > 0 {
			time.Sleep(wait)
			break
		}
	}
	wait, err := s.Take(ctx, authcore.LimitSignup, "key", fast)
	must(t, err)
	if wait > 0 {
		t.Errorf("told to wait %v after the wait", wait)
	}
}

// TestNothingStays writes all there is and finds that each key ends by itself, and what one costs.
func TestNothingStays(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, fresh(Options{URLs: []string{server.URL()}}))
	ctx, c := t.Context(), server.Client()
	b := authcore.Backoff{Free: 5, Base: time.Second, Max: time.Minute}
	before := used(t, server)
	const n = 2000
	for i := range n {
		key := fmt.Sprintf("name %d", i)
		for range 2 {
			_, err := s.Attempt(ctx, authcore.LimitName, key, b)
			must(t, err)
		}
		if i%2 == 0 {
			must(t, s.Forgive(ctx, authcore.LimitName, key, b))
		}
	}
	t.Logf("a failure takes %d bytes", (used(t, server)-before)/n)
	_, err := s.Take(ctx, authcore.LimitLogin, "address", authcore.Rate{Burst: 10, Per: time.Minute})
	must(t, err)
	before = used(t, server)
	const accounts = 500
	for i := range accounts {
		must(t, s.CreateSession(ctx, newSession(authcore.AccountID(fmt.Sprintf("%08d-0000-4000-8000-000000000000", i)))))
	}
	t.Logf("an account with one session takes %d bytes", (used(t, server)-before)/accounts)

	keys, err := c.Keys(ctx, "*").Result()
	must(t, err)
	if len(keys) != n+1+accounts {
		t.Errorf("%d keys, want %d", len(keys), n+1+accounts)
	}
	for _, key := range keys {
		ttl, err := c.PTTL(ctx, key).Result()
		must(t, err)
		if ttl == -2 { // it has expired since it was listed
			continue
		}
		if ttl <= 0 || ttl > 14*24*time.Hour+keepFor {
			t.Fatalf("key %s is kept for %v", key, ttl)
		}
	}
}

func used(t *testing.T, server *redistest.Server) int {
	t.Helper()
	text, err := server.Client().Info(t.Context(), "memory").Result()
	must(t, err)
	var n int
	_, err = fmt.Sscan(parseInfo(text)["used_memory"], &n)
	must(t, err)
	return n
}

// TestClockPutBack: a server that takes over may be behind. Nobody waits longer for it than the rule says.
func TestClockPutBack(t *testing.T) {
	t.Parallel()
	now := time.Now()
	o := fresh(Options{URLs: []string{redistest.Start(t).URL()}})
	o.Now = func() time.Time { return now }
	s := open(t, o)
	ctx := t.Context()
	rate := authcore.Rate{Burst: 2, Per: time.Minute}
	b := authcore.Backoff{Free: 1, Base: time.Second, Max: time.Minute}
	take := func() time.Duration {
		wait, err := s.Take(ctx, authcore.LimitLogin, "key", rate)
		must(t, err)
		return wait
	}
	attempt := func() time.Duration {
		wait, err := s.Attempt(ctx, authcore.LimitAccount, "key", b)
		must(t, err)
		return wait
	}
	take()
	take()
	attempt()
	now = now.Add(-time.Hour)
	if wait := take(); wait <= 0 || wait > 30*time.Second {
		t.Errorf("a budget: told to wait %v", wait)
	}
	if wait := attempt(); wait != time.Second {
		t.Errorf("an attempt: told to wait %v", wait)
	}
	now = now.Add(time.Second)
	if wait := attempt(); wait != 0 {
		t.Errorf("an attempt after the wait: told to wait %v", wait)
	}
	now = now.Add(29 * time.Second)
	if wait := take(); wait != 0 {
		t.Errorf("a budget after the wait: told to wait %v", wait)
	}
}
