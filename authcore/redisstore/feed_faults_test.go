package redisstore

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/storetest"
	"github.com/chatgate/chatgate/internal/redistest"
)

// TestFeedFaults breaks the feed in many ways. In each, an event that was stored is applied, or followed by a reset.
func TestFeedFaults(t *testing.T) {
	t.Parallel()
	type nodes struct {
		server    *redistest.Server
		publisher *Store
	}
	store := func(t *testing.T, n nodes, account string) {
		t.Helper()
		raw, err := encodeEvent(authcore.NodeEvent{Account: authcore.AccountID(account), Epoch: 1})
		if err == nil {
			_, err = n.publisher.store(t.Context(), account, "nobody", raw)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	command := func(args ...any) func(t *testing.T, n nodes) {
		return func(t *testing.T, n nodes) {
			t.Helper()
			for i, arg := range args {
				if name, ok := arg.(key); ok {
					args[i] = n.publisher.feedKey(string(name))
				}
			}
			if err := n.server.Client().Do(t.Context(), args...).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	// hidden stores an event, which is gone before anybody sees it.
	hidden := func(by ...any) func(t *testing.T, n nodes) {
		return func(t *testing.T, n nodes) {
			t.Helper()
			p := n.publisher
			for i, arg := range by {
				if name, ok := arg.(key); ok {
					by[i] = p.feedKey(string(name))
				}
			}
			_, err := n.server.Client().TxPipelined(t.Context(), func(pipe redis.Pipeliner) error {
				keys := []string{p.feedKey("nodes"), p.feedKey("events"), p.feedKey("head")}
				publishScript.Eval(t.Context(), pipe, keys, 5000, "hidden", p.node, "nobody", `{"account":"hidden"}`, 1000, 60000)
				pipe.Do(t.Context(), by...)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name  string
		fault func(t *testing.T, n nodes)
		reset bool // must follow
	}{
		{"restarted empty", func(t *testing.T, n nodes) { n.server.Stop(); n.server.Run(t) }, true},
		{"restarted with all there was", func(t *testing.T, n nodes) {
			n.server.Terminate(t)
			n.server.Run(t)
		}, true},
		{"emptied", command("FLUSHALL"), true},
		{"connections killed", command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"), false},
		{"scripts forgotten", command("SCRIPT", "FLUSH"), false},
		{"events deleted", hidden("DEL", key("events")), true},
		{"events trimmed", hidden("XTRIM", key("events"), "MAXLEN", 0), true},
		{"read events deleted", command("DEL", key("events")), false},
		{"head deleted", command("DEL", key("head")), true},
		{"another head", command("SET", key("head"), "1-1/another"), true},
		{"nodes deleted", command("DEL", key("nodes")), false},
		{"a foreign entry", command("XADD", key("events"), "*", "a", "b"), true},
		{"an older state", func(t *testing.T, n nodes) {
			restore := snapshot(t, n.server, n.publisher)
			store(t, n, "forgotten")
			restore()
		}, true},
		{"an older state and a new event", func(t *testing.T, n nodes) {
			restore := snapshot(t, n.server, n.publisher)
			store(t, n, "forgotten")
			restore()
			store(t, n, "new")
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			n := nodes{server, openFeed(t, server, impatient)}
			var rs []*storetest.Recorder
			for i := range 2 {
				r := storetest.NewRecorder(i + 1)
				s := openFeed(t, server, impatient)
				storetest.Follow(t, s, r)
				rs = append(rs, r)
			}
			store(t, n, "before")
			resets := make([]int, len(rs))
			for i, r := range rs {
				r.AwaitFresh(t)
				resets[i] = r.Resets()
			}
			c.fault(t, n)
			at := time.Now()
			for i, r := range rs {
				r.AwaitFresh(t)
				t.Logf("fresh again after %v", time.Since(at))
				if c.reset && r.Resets() == resets[i] {
					t.Error("said to be fresh without a reset")
				}
			}
			store(t, n, "after")
			for _, r := range rs {
				r.AwaitFresh(t)
				if got := r.Log(); got[len(got)-1] != "apply after" && got[len(got)-1] != "reset" {
					t.Errorf("heard %q", got)
				}
			}
			var receipts []authcore.NodeReceipt
			eventually(t, "answers of both", func() bool {
				var err error
				receipts, err = n.publisher.Publish(t.Context(), authcore.NodeEvent{Keys: true})
				return err == nil && len(receipts) == 2 && receipts[0].Answered && receipts[1].Answered
			})
		})
	}
}

// key is the name of a key of the feed.
type key string

// snapshot returns what brings the feed back to where it is now, as a replica does that heard no more.
func snapshot(t testing.TB, server *redistest.Server, s *Store) (restore func()) {
	t.Helper()
	c := server.Client()
	dumps := make(map[string]string)
	for _, name := range []string{"events", "head"} {
		if dump, err := c.Dump(context.Background(), s.feedKey(name)).Result(); err == nil {
			dumps[s.feedKey(name)] = dump
		}
	}
	return func() {
		_, _ = c.TxPipelined(context.Background(), func(pipe redis.Pipeliner) error {
			for _, name := range slices.Sorted(maps.Keys(dumps)) {
				pipe.RestoreReplace(context.Background(), name, 0, dumps[name])
			}
			return nil
		})
	}
}

// TestFeedStale checks that nothing is said to be fresh while it cannot be known, and that it is again soon after.
func TestFeedStale(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		begin, end func(t *testing.T, server *redistest.Server)
	}{
		{"down", func(_ *testing.T, s *redistest.Server) { s.Stop() }, func(t *testing.T, s *redistest.Server) { s.Run(t) }},
		{"frozen", func(_ *testing.T, s *redistest.Server) { s.Freeze() }, func(_ *testing.T, s *redistest.Server) { s.Thaw() }},
		{"out of memory", func(t *testing.T, s *redistest.Server) {
			if err := s.Client().ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
				t.Fatal(err)
			}
		}, func(t *testing.T, s *redistest.Server) {
			if err := s.Client().ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			r, s := storetest.NewRecorder(0), openFeed(t, server, impatient)
			storetest.Follow(t, s, r)
			other := openFeed(t, server, impatient)
			resets := r.Resets()
			c.begin(t, server)
			begun := time.Now()
			// It takes as long as the slowest way to notice it. Nothing here is shorter on a slow machine.
			ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
			defer cancel()
			for ctx.Err() == nil {
				if _, err := other.Publish(ctx, authcore.NodeEvent{Keys: true}); err == nil {
					t.Error("an event was stored")
				}
			}
			if at := r.LastFresh(); at.After(begun) {
				t.Errorf("fresh %v after it broke", at.Sub(begun))
			}
			c.end(t, server)
			ended := time.Now()
			r.Await(t, "a reset", func() bool { return r.Resets() > resets })
			r.AwaitFresh(t)
			t.Logf("fresh again after %v", time.Since(ended))
			if took := time.Since(ended); took > 10*time.Second {
				t.Errorf("fresh again after %v", took)
			}
		})
	}
}

// TestFeedDeadNode checks that a node which ended without a word is waited for, and forgotten after a while.
func TestFeedDeadNode(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openFeed(t, server, func(o *Options) { o.AnswerTimeout = 200 * time.Millisecond })
	now := time.Now().UnixMilli()
	z := []redis.Z{
		{Score: float64(now - 2_000), Member: "dead"},
		{Score: float64(now - 60_000), Member: "long dead"},
		{Score: float64(now + 60_000), Member: "of another clock"},
	}
	if err := server.Client().ZAdd(t.Context(), s.feedKey("nodes"), z...).Err(); err != nil {
		t.Fatal(err)
	}
	receipts, err := s.Publish(t.Context(), authcore.NodeEvent{Keys: true})
	if err != nil || len(receipts) != 1 || receipts[0] != (authcore.NodeReceipt{Node: "dead"}) {
		t.Errorf("receipts %+v, error %v", receipts, err)
	}
	eventually(t, "the dead node to be forgotten", func() bool {
		nodes, err := s.Nodes(t.Context())
		return err == nil && len(nodes) == 0
	})
}
