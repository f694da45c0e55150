package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/storetest"
	"github.com/chatgate/chatgate/internal/redistest"
)

// openFeed opens a node that is patient with a busy machine.
func openFeed(t testing.TB, server *redistest.Server, tweaks ...func(*Options)) *Store {
	t.Helper()
	o := Options{
		URLs: []string{server.URL()}, Prefix: prefixOf(t), ConnectTimeout: 5 * time.Second, CommandTimeout: 5 * time.Second,
		AnswerTimeout: 3 * time.Second,
	}
	for _, tweak := range tweaks {
		tweak(&o)
	}
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// prefixOf gives each test keys of its own.
func prefixOf(t testing.TB) string { return fmt.Sprintf("test-%p", t) }

// impatient is a node with the usual timeouts.
func impatient(o *Options) {
	o.ConnectTimeout, o.CommandTimeout, o.AnswerTimeout = 500*time.Millisecond, 500*time.Millisecond, time.Second
}

func TestFeed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	storetest.RunFeed(t, func(t *testing.T) (feeds storetest.Feeds) {
		for i := range feeds {
			feeds[i] = openFeed(t, server)
		}
		return feeds
	})
}

// TestFeedCluster follows, answers and counts on a cluster, whose keys live on several servers.
func TestFeedCluster(t *testing.T) {
	t.Parallel()
	var urls []string
	for _, server := range redistest.StartCluster(t) {
		urls = append(urls, server.URL())
	}
	open := func(t *testing.T) *Store {
		s, err := Open(t.Context(), Options{
			URLs: urls, Mode: Cluster, Prefix: prefixOf(t), ConnectTimeout: 5 * time.Second, CommandTimeout: 5 * time.Second,
			AnswerTimeout: 2 * time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	t.Run("feed", func(t *testing.T) {
		storetest.RunFeed(t, func(t *testing.T) storetest.Feeds {
			return storetest.Feeds{open(t), open(t), open(t)}
		})
	})
	t.Run("presence", func(t *testing.T) {
		storetest.RunPresence(t, func(t *testing.T) storetest.Nodes { return presenceNodes(t, open(t), open(t)) })
	})
}

// TestFeedVersions: nodes of other versions say more or less than this one, and understand each other as far as they can.
func TestFeedVersions(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	publisher, r := openFeed(t, server), storetest.NewRecorder(0)
	storetest.Follow(t, openFeed(t, server), r)
	cases := []struct {
		raw  string
		want authcore.Event
	}{
		{`{}`, authcore.Event{}},
		{`{"account":"a","sessions":["s"]}`, authcore.Event{Account: "a", Sessions: []authcore.SessionID{"s"}}},
		{`{"account":"a","epoch":7,"kept":"k"}`, authcore.Event{Account: "a", Epoch: 7, Kept: "k"}},
		{`{"account":"a","changed":true}`, authcore.Event{Account: "a", Changed: true}},
		{`{"account":"a","away":"s"}`, authcore.Event{Account: "a", Away: "s"}},
		{`{"new":{"account":"b","epoch":[8]},"account":"a","epoch":7,"more":null,"gone":true,"":1e400}`, authcore.Event{Account: "a", Epoch: 7}},
		{`{"keys":true,"purposes":["signing"]}`, authcore.Event{Keys: true}},
	}
	var events []authcore.Event
	for i, c := range cases {
		if _, err := publisher.store(t.Context(), fmt.Sprint("token", i), "nobody", []byte(c.raw)); err != nil {
			t.Fatal(err)
		}
		events = append(events, c.want)
	}
	r.AwaitEvents(t, len(cases))
	if got := r.Events(); !reflect.DeepEqual(got, events) {
		t.Errorf("heard %+v, want %+v", got, events)
	}
	if n := r.Resets(); n != 1 {
		t.Errorf("%d resets", n)
	}

	// For the version before, which knew five fields, the new ones are nothing to do.
	for _, e := range []authcore.Event{{Account: "a", Changed: true}, {Account: "a", Away: "s"}} {
		raw, err := encodeEvent(e)
		if err != nil {
			t.Fatal(err)
		}
		var older struct {
			Account, Kept string
			Sessions      []string
			Epoch         int64
			Keys          bool
		}
		if err := json.Unmarshal(raw, &older); err != nil || older.Account != "a" || older.Kept != "" || older.Sessions != nil || older.Epoch != 0 || older.Keys {
			t.Errorf("%s is %+v, %v", raw, older, err)
		}
	}
	for _, e := range []authcore.Event{{Account: "a\xff"}, {Sessions: []authcore.SessionID{"s", "\xff"}}, {Kept: "\xff"}, {Away: "\xff"}} {
		if raw, err := encodeEvent(e); !errors.Is(err, errNotText) {
			t.Errorf("%s, %v", raw, err)
		}
	}
}

// TestFeedFaults breaks the feed in many ways. In each, an event that was stored is applied, or followed by a reset.
func TestFeedFaults(t *testing.T) {
	t.Parallel()
	type nodes struct {
		server    *redistest.Server
		publisher *Store
	}
	store := func(t *testing.T, n nodes, account string) {
		t.Helper()
		raw, err := encodeEvent(authcore.Event{Account: authcore.AccountID(account), Epoch: 1})
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
				receipts, err = n.publisher.Publish(t.Context(), authcore.Event{Keys: true})
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

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(storetest.Patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
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
				if _, err := other.Publish(ctx, authcore.Event{Keys: true}); err == nil {
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
	receipts, err := s.Publish(t.Context(), authcore.Event{Keys: true})
	if err != nil || len(receipts) != 1 || receipts[0] != (authcore.NodeReceipt{Node: "dead"}) {
		t.Errorf("receipts %+v, error %v", receipts, err)
	}
	eventually(t, "the dead node to be forgotten", func() bool {
		nodes, err := s.Nodes(t.Context())
		return err == nil && len(nodes) == 0
	})
}

// TestFeedBusy gives a stuck follower more than it may hold. It gets all of it, in order, once it goes on.
func TestFeedBusy(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s, publisher := openFeed(t, server), openFeed(t, server)
	r := storetest.NewRecorder(0)
	gate := make(chan struct{})
	r.Hook = func(authcore.Event) { <-gate }
	release := sync.OnceFunc(func() { close(gate) })
	storetest.Follow(t, s, r)
	t.Cleanup(release)
	const many = 3 * heldAtOnce
	for i := range many {
		raw, err := encodeEvent(authcore.Event{Account: authcore.AccountID(fmt.Sprint(i)), Epoch: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := publisher.store(t.Context(), fmt.Sprint("token", i), "nobody", raw); err != nil {
			t.Fatal(err)
		}
	}
	at := time.Now()
	if nodes, err := s.Nodes(t.Context()); err != nil || !slices.Equal(nodes, []string{s.node}) {
		t.Errorf("nodes %v, error %v", nodes, err)
	}
	if r.LastFresh().After(at) {
		t.Error("fresh while events wait")
	}
	release()
	r.AwaitEvents(t, many)
	r.AwaitFresh(t)
	for i, e := range r.Events() {
		if string(e.Account) != fmt.Sprint(i) {
			t.Fatalf("event %d is %s", i, e.Account)
		}
	}
	if r.Resets() != 1 {
		t.Errorf("%d resets", r.Resets())
	}
}

// TestFeedOverrun gives a stuck follower more than it may hold, and takes away what it left in the stream.
func TestFeedOverrun(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s, publisher := openFeed(t, server), openFeed(t, server)
	r := storetest.NewRecorder(0)
	gate := make(chan struct{})
	r.Hook = func(authcore.Event) { <-gate }
	release := sync.OnceFunc(func() { close(gate) })
	storetest.Follow(t, s, r)
	t.Cleanup(release)
	const many = 2 * heldAtOnce
	for i := range many {
		if _, err := publisher.store(t.Context(), fmt.Sprint("token", i), "nobody", []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	score := func() float64 { return server.Client().ZScore(t.Context(), s.feedKey("nodes"), s.node).Val() }
	for range 2 { // by then the reader took in what it would
		last := score()
		eventually(t, "a heartbeat", func() bool { return score() > last })
	}
	server.Client().XTrimMaxLen(t.Context(), publisher.feedKey("events"), 0)
	release()
	r.AwaitFresh(t)
	if n := len(r.Events()); n > heldAtOnce+2*readAtOnce || r.Resets() != 2 {
		t.Errorf("%d events, %d resets", n, r.Resets())
	}
}

// TestFeedUnbroken checks that a constant stream of events does not keep freshness away. They are the node's own, which
// it need not answer, so that it keeps up.
func TestFeedUnbroken(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openFeed(t, server)
	r := storetest.NewRecorder(0)
	storetest.Follow(t, s, r)
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	for i := range 4 {
		done.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				_, _ = s.store(ctx, fmt.Sprintf("token%d-%d", i, n), "nobody", []byte("{}"))
			}
		})
	}
	for range 3 {
		r.AwaitFresh(t)
	}
	cancel()
	done.Wait()
	if r.Resets() != 1 {
		t.Errorf("%d resets", r.Resets())
	}
}

// TestFeedRepeated checks that an event that was sent again, because the answer was lost, is stored once.
func TestFeedRepeated(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openFeed(t, server)
	for range 2 {
		if _, err := s.store(t.Context(), "token", "nobody", []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if n := server.Client().XLen(t.Context(), s.feedKey("events")).Val(); n != 1 {
		t.Errorf("%d entries", n)
	}
}

// TestFeedEnds checks that Follow returns promptly, even from a silent server, and leaves nothing behind.
func TestFeedEnds(t *testing.T) {
	server := redistest.Start(t)
	opened := goleak.IgnoreCurrent()
	for _, frozen := range []bool{false, true} {
		s := openFeed(t, server, impatient)
		r := storetest.NewRecorder(0)
		stop := storetest.Follow(t, s, r)
		if frozen {
			server.Freeze()
		}
		at := time.Now()
		stop()
		t.Logf("frozen %v: ended after %v", frozen, time.Since(at))
		if took := time.Since(at); took > 3*time.Second {
			t.Errorf("ended after %v", took)
		}
		if frozen {
			server.Thaw()
		} else if nodes, err := s.Nodes(t.Context()); err != nil || len(nodes) > 0 {
			t.Errorf("nodes %v, error %v", nodes, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t, opened)
	}
}

// history knows every event that was stored.
type history struct {
	mu     sync.Mutex
	events []stored
}

type stored struct {
	account authcore.AccountID
	resets  []int     // of each witness, before it was stored
	at      time.Time // it was stored by then
}

// witness is a follower that knows what it should have heard.
type witness struct {
	t       *testing.T
	h       *history
	index   int
	mu      sync.Mutex
	resets  int
	applied map[authcore.AccountID]bool
	checked int // events that need not be looked at any more
	fresh   time.Time
}

func (w *witness) Reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resets++
}

func (w *witness) Apply(e authcore.Event) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.applied[e.Account] = true
	return 0
}

// Fresh checks the promise: what was stored before at was applied, or followed by a reset.
func (w *witness) Fresh(at time.Time) {
	w.h.mu.Lock()
	defer w.h.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	for ; w.checked < len(w.h.events) && w.h.events[w.checked].at.Before(at); w.checked++ {
		e := w.h.events[w.checked]
		if !w.applied[e.account] && w.resets <= e.resets[w.index] {
			w.t.Errorf("witness %d was told that all is fresh, but event %s was lost", w.index, e.account)
		}
	}
	w.fresh = at
}

// TestFeedNothingLost breaks a feed at random and holds it to its promise.
func TestFeedNothingLost(t *testing.T) {
	t.Parallel()
	const lasting = 6 * time.Second
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	server := redistest.Start(t)
	tweak := func(o *Options) {
		o.ConnectTimeout, o.CommandTimeout, o.Prefix = 500*time.Millisecond, 500*time.Millisecond, "lost"
	}
	h := &history{}
	witnesses := make([]*witness, 3)
	ctx, cancel := context.WithCancel(t.Context())
	var done, publishing sync.WaitGroup
	defer func() { cancel(); done.Wait() }()
	for i := range witnesses {
		s := openFeed(t, server, tweak)
		witnesses[i] = &witness{t: t, h: h, index: i, applied: make(map[authcore.AccountID]bool)}
		done.Go(func() { s.Follow(ctx, witnesses[i]) })
	}
	publisher := openFeed(t, server, tweak)
	until := time.Now().Add(lasting)
	publishing.Go(func() {
		for i := 0; time.Now().Before(until); i++ {
			e := stored{account: authcore.AccountID(fmt.Sprint(i))}
			for _, w := range witnesses {
				w.mu.Lock()
				e.resets = append(e.resets, w.resets)
				w.mu.Unlock()
			}
			raw, err := encodeEvent(authcore.Event{Account: e.account, Epoch: 1})
			if err == nil {
				_, err = publisher.store(ctx, fmt.Sprintf("token%d", i), "nobody", raw)
			}
			if err == nil {
				e.at = time.Now()
				h.mu.Lock()
				h.events = append(h.events, e)
				h.mu.Unlock()
			}
			time.Sleep(time.Millisecond)
		}
	})
	c := server.Client()
	faults := []func(){
		func() { server.Stop(); server.Run(t) },
		func() { server.Terminate(t); server.Run(t) },
		func() { c.FlushAll(ctx) },
		func() { c.Do(ctx, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") },
		func() { server.Freeze(); time.Sleep(700 * time.Millisecond); server.Thaw() },
		func() {
			c.ConfigSet(ctx, "maxmemory", "1")
			time.Sleep(200 * time.Millisecond)
			c.ConfigSet(ctx, "maxmemory", "0")
		},
		func() { c.XTrimMaxLen(ctx, publisher.feedKey("events"), 0) },
		func() { c.Del(ctx, publisher.feedKey([]string{"events", "head", "nodes"}[random.IntN(3)])) },
		func() { c.ScriptFlush(ctx) },
		func() {
			restore := snapshot(t, server, publisher)
			time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
			restore()
		},
	}
	for time.Now().Before(until) {
		faults[random.IntN(len(faults))]()
		time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
	}
	publishing.Wait()
	healed := time.Now()
	for _, w := range witnesses {
		eventually(t, "freshness", func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.fresh.After(healed)
		})
		t.Logf("witness %d: %d of %d events, %d resets", w.index, len(w.applied), len(h.events), w.resets)
	}
}

func BenchmarkPublish(b *testing.B) {
	server := redistest.Start(b)
	for range 2 {
		storetest.Follow(b, openFeed(b, server), storetest.NewRecorder(0))
	}
	s := openFeed(b, server)
	storetest.Follow(b, s, storetest.NewRecorder(0))
	var all []time.Duration
	for b.Loop() {
		receipts, err := s.Publish(b.Context(), authcore.Event{Account: "a", Epoch: 1})
		if err != nil || len(receipts) != 2 || !receipts[0].Answered || !receipts[1].Answered {
			b.Fatal(receipts, errors.Join(err))
		}
		all = append(all, max(receipts[0].Took, receipts[1].Took))
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "µs-median")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "µs-p99")
}
