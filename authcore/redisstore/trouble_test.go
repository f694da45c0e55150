//go:build linux

package redisstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/internal/redistest"
)

// A server in trouble: every call says so, soon, and works again when the server does.

var (
	anyRate    = authcore.Rate{Burst: 1000, Per: time.Minute}
	anyBackoff = authcore.Backoff{Free: 1000, Base: time.Second, Max: time.Minute}
)

// calls is every method that asks Redis.
func calls(s *Store) map[string]func(context.Context) error {
	const account, class = "trouble", authcore.LimitAccount
	return map[string]func(context.Context) error{
		"Ping":          s.Ping,
		"CreateSession": func(ctx context.Context) error { return s.CreateSession(ctx, newSession(account)) },
		"Session":       func(ctx context.Context) error { _, err := s.Session(ctx, account, "x"); return over(err) },
		"Sessions":      func(ctx context.Context) error { _, err := s.Sessions(ctx, account); return err },
		"TouchSessions": func(ctx context.Context) error {
			return s.TouchSessions(ctx, []authcore.Touch{{Account: account, Session: "x", At: time.Now()}})
		},
		"RotateSession": func(ctx context.Context) error {
			_, err := s.RotateSession(ctx, account, "x", 1, rotation)
			return over(err)
		},
		"EndSession": func(ctx context.Context) error { _, err := s.EndSession(ctx, account, "x"); return err },
		"EndSessions": func(ctx context.Context) error {
			_, err := s.EndSessions(ctx, "another", math.MaxInt64, "x")
			return err
		},
		"Take":    func(ctx context.Context) error { _, err := s.Take(ctx, class, "x", anyRate); return err },
		"Attempt": func(ctx context.Context) error { _, err := s.Attempt(ctx, class, "x", anyBackoff); return err },
		"Forgive": func(ctx context.Context) error { return s.Forgive(ctx, class, "x", anyBackoff) },
		"Clear":   func(ctx context.Context) error { return s.Clear(ctx, class, "x") },
	}
}

func over(err error) error {
	if e, ok := errors.AsType[*authcore.Error](err); ok && e.Kind == authcore.KindSessionOver {
		return nil
	}
	return err
}

// fails makes every call at once, with no deadline and with the one that callers set. Each must fail, and without a kind.
func fails(t *testing.T, s *Store, what string, within time.Duration, text string, but ...string) {
	t.Helper()
	var longest time.Duration
	var mu sync.Mutex
	var all sync.WaitGroup
	for name, call := range calls(s) {
		if strings.Contains(" "+strings.Join(but, " ")+" ", " "+name+" ") {
			continue
		}
		for _, limit := range []time.Duration{time.Hour, 900 * time.Millisecond} {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), limit)
				defer cancel()
				begun := time.Now()
				err := call(ctx)
				took := time.Since(begun)
				mu.Lock()
				defer mu.Unlock()
				longest = max(longest, took)
				if err == nil || hasKind(err) || !strings.Contains(err.Error(), text) {
					t.Errorf("%s: %s says %v", what, name, err)
				}
			})
		}
	}
	all.Wait()
	t.Logf("%s: every call failed within %v", what, longest)
	if longest > within {
		t.Errorf("%s: it took %v, want %v at most", what, longest, within)
	}
}

// works makes every call until it succeeds.
func works(t *testing.T, s *Store, what string) {
	t.Helper()
	for name, call := range calls(s) {
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			err := call(t.Context())
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %s still says %v", what, name, err)
			}
		}
	}
}

// slack is what a second may take where two busy cores count it.
const slack = 5 * time.Second

func TestFrozen(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, Options{URLs: []string{server.URL()}})
	works(t, s, "at first")
	server.Freeze()
	fails(t, s, "frozen", slack, "")
	fails(t, s, "frozen for a while", slack, "")
	server.Thaw()
	works(t, s, "thawed")
}

// TestDeadline: the caller's deadline holds where the store itself would wait longer; and the store's, where the caller
// has none.
func TestDeadline(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, fresh(Options{URLs: []string{server.URL()}}))
	server.Freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, err := s.Session(ctx, "account", "x")
	if took := time.Since(begun); took > slack || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after %v: %v", took, err)
	}
	server.Thaw()
	s.o.ConnectTimeout, s.o.CommandTimeout = 3*time.Hour, 4*time.Hour
	must(t, s.call(t.Context(), "test", func(ctx context.Context) error {
		if end, ok := ctx.Deadline(); !ok || time.Until(end) > 7*time.Hour || time.Until(end) < 6*time.Hour {
			t.Errorf("the deadline is %v, %v", end, ok)
		}
		return nil
	}))
}

func TestKilled(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, Options{URLs: []string{server.URL()}})
	n := newSession("account")
	must(t, s.CreateSession(t.Context(), n))
	works(t, s, "at first")
	server.Stop()
	fails(t, s, "killed", slack, "")
	for range 3 { // more failures than connections
		fails(t, s, "killed for a while", slack, "")
	}
	server.Run(t)
	works(t, s, "restarted")
	if _, err := s.Session(t.Context(), n.Account, n.ID); authcore.KindOf(err) != authcore.KindSessionOver {
		t.Errorf("a session that the server forgot: %v", err)
	}
}

// TestRestarted: the connections that a restart left behind are no reason to fail, as long as nobody waits on them.
func TestRestarted(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, fresh(Options{URLs: []string{server.URL()}}))
	for name, call := range calls(s) {
		must(t, call(t.Context()))
		server.Stop()
		server.Run(t)
		if err := call(t.Context()); err != nil {
			t.Errorf("%s after a restart: %v", name, err)
		}
	}
}

func TestFlushed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, fresh(Options{URLs: []string{server.URL()}}))
	n := newSession("account")
	must(t, s.CreateSession(t.Context(), n))
	for name, call := range calls(s) {
		must(t, server.Client().FlushAll(t.Context()).Err())
		must(t, server.Client().ScriptFlush(t.Context()).Err())
		if err := call(t.Context()); err != nil {
			t.Errorf("%s after everything was forgotten: %v", name, err)
		}
	}
	if ended, err := s.EndSession(t.Context(), n.Account, n.ID); ended || err != nil {
		t.Errorf("ending what was forgotten: %v, %v", ended, err)
	}
}

// TestScriptsLost: a batch of touches is whole, though the server knows the script no longer.
func TestScriptsLost(t *testing.T) {
	t.Parallel()
	nodes := redistest.StartCluster(t)
	s := open(t, fresh(Options{URLs: []string{nodes[0].URL()}, Mode: Cluster}))
	var touches []authcore.Touch
	at := time.Now().Add(time.Minute).UTC().Truncate(time.Millisecond)
	for i := range 100 {
		n := newSession(authcore.AccountID(fmt.Sprint("account-", i)))
		must(t, s.CreateSession(t.Context(), n))
		touches = append(touches, authcore.Touch{Account: n.Account, Session: n.ID, At: at})
	}
	must(t, s.TouchSessions(t.Context(), touches[:50]))
	must(t, nodes[1].Client().ScriptFlush(t.Context()).Err())
	must(t, s.TouchSessions(t.Context(), touches))
	for _, touched := range touches {
		n, err := s.Session(t.Context(), touched.Account, touched.Session)
		must(t, err)
		if !n.LastSeenAt.Equal(at) {
			t.Errorf("account %s: last seen at %v", n.Account, n.LastSeenAt)
		}
	}
}

// TestMemoryFull: nothing can be added, but what is there can be read and ended.
func TestMemoryFull(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, fresh(Options{URLs: []string{server.URL()}}))
	var sessions []authcore.Session
	for range 4 {
		n := newSession("account")
		must(t, s.CreateSession(t.Context(), n))
		sessions = append(sessions, n)
	}
	c := server.Client()
	must(t, c.ConfigSet(t.Context(), "maxmemory", "1").Err())
	must(t, c.ScriptFlush(t.Context()).Err()) // the scripts have to be sent anew
	for _, name := range []string{"CreateSession", "Take", "Attempt"} {
		if err := calls(s)[name](t.Context()); err == nil || hasKind(err) || !strings.Contains(err.Error(), "OOM") {
			t.Errorf("memory is full: %s says %v", name, err)
		}
	}
	if _, err := s.RotateSession(t.Context(), "account", sessions[0].ID, sessions[0].Generation, rotation); err == nil || hasKind(err) || !strings.Contains(err.Error(), "OOM") {
		t.Errorf("memory is full: RotateSession says %v", err)
	}
	if got, err := s.Session(t.Context(), "account", sessions[0].ID); err != nil || got != sessions[0] {
		t.Errorf("memory is full: Session: %+v, %v", got, err)
	}
	if all, err := s.Sessions(t.Context(), "account"); err != nil || len(all) != 4 {
		t.Errorf("memory is full: Sessions: %d, %v", len(all), err)
	}
	if ended, err := s.EndSession(t.Context(), "account", sessions[0].ID); err != nil || !ended {
		t.Errorf("memory is full: EndSession: %v, %v", ended, err)
	}
	if ended, err := s.EndSessions(t.Context(), "account", math.MaxInt64, sessions[1].ID); err != nil || len(ended) != 2 {
		t.Errorf("memory is full: EndSessions: %v, %v", ended, err)
	}
	must(t, s.Clear(t.Context(), authcore.LimitAccount, "x"))
	must(t, c.ConfigSet(t.Context(), "maxmemory", "0").Err())
	works(t, s, "memory again")
}

func TestLoading(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "enable-debug-command", "yes", "loading-process-events-interval-bytes", "1024")
	s := open(t, Options{URLs: []string{server.URL()}})
	c := server.Client()
	works(t, s, "at first")
	must(t, c.Do(t.Context(), "debug", "populate", 4000, "key", 100).Err())
	must(t, c.ConfigSet(t.Context(), "key-load-delay", "1000").Err())
	var reloading sync.WaitGroup
	reloading.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		other := redis.NewClient(&redis.Options{Addr: server.Addr, ReadTimeout: time.Minute, DisableIdentity: true})
		defer other.Close()
		if err := other.Do(ctx, "debug", "reload").Err(); err != nil {
			t.Errorf("reloading: %v", err)
		}
	})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if err := s.Ping(t.Context()); err != nil && strings.Contains(err.Error(), "LOADING") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the server does not load")
		}
	}
	fails(t, s, "loading", slack, "LOADING")
	reloading.Wait()
	works(t, s, "loaded")
}

func TestNoConnectionLeft(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "maxclients", "10")
	s := open(t, Options{URLs: []string{server.URL()}})
	c := server.Client()
	must(t, c.Ping(t.Context()).Err())
	others := make([]net.Conn, 0, 20)
	hog := func() {
		for range cap(others) {
			conn, err := net.Dial("tcp", server.Addr)
			must(t, err)
			others = append(others, conn)
		}
	}
	hog()
	// The store's own connection is among those that the server closes, and one of the others takes its place.
	id, err := c.ClientID(t.Context()).Result()
	must(t, err)
	list, err := c.ClientList(t.Context()).Result()
	must(t, err)
	for line := range strings.Lines(list) {
		if strings.Contains(line, "cmd=del") { // with which its check of the server ended
			var own int64
			if _, err := fmt.Sscanf(line, "id=%d", &own); err == nil && own != id {
				must(t, c.ClientKillByFilter(t.Context(), "id", fmt.Sprint(own)).Err())
			}
		}
	}
	hog()
	fails(t, s, "no connection left", slack, "")
	for _, conn := range others {
		_ = conn.Close()
	}
	works(t, s, "connections again")
}
