package redisstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/internal/redistest"
)

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

func (w *witness) Apply(e authcore.NodeEvent) int {
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

// TestFeedNothingLost breaks a feed at random and holds it to its promise. It runs alone: an event that an older state takes
// away before any follower has read it leaves no trace, and on a busy machine followers read late.
func TestFeedNothingLost(t *testing.T) {
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
			raw, err := encodeEvent(authcore.NodeEvent{Account: e.account, Epoch: 1})
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
