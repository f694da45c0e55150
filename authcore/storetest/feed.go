package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// Feeds are three nodes of one deployment.
type Feeds [3]authcore.Feed

// RunFeed tests the feeds that open returns. Each call of open returns the nodes of a new deployment. Their timeout for
// answers should be long, but one test waits for it.
func RunFeed(t *testing.T, open func(t *testing.T) Feeds) {
	t.Helper()
	each(t, feedTests, open)
}

var feedTests = []group[Feeds]{
	{"reset first", feedResetFirst},
	{"delivery", feedDelivery},
	{"order", feedOrder},
	{"one order for all", feedOneOrder},
	{"receipts", feedReceipts},
	{"receipts/at once", feedReceiptsAtOnce},
	{"receipts/a publisher that does not follow", feedOnlyPublishes},
	{"receipts/a node that is silent", feedSilence},
	{"receipts/end of the context", feedContextEnds},
	{"a node that left", feedLeft},
	{"following again", feedAgain},
	{"a slow follower", feedSlow},
	{"hostile strings", feedHostile},
	{"cancellation", feedCanceled},
}

// Patience is how long a test waits for a condition.
const Patience = 30 * time.Second

// Recorder is a follower that records its calls.
type Recorder struct {
	Closed int                      // the result of Apply
	Hook   func(authcore.NodeEvent) // called by Apply, if not nil

	mu     sync.Mutex
	log    []string
	events []authcore.NodeEvent
	resets int
	fresh  time.Time
	change chan struct{} // closed and replaced by each call
}

// NewRecorder returns a follower that claims to close so many connections for each event.
func NewRecorder(closed int) *Recorder {
	return &Recorder{Closed: closed, change: make(chan struct{})}
}

func (r *Recorder) note(what string, f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	if what != "" {
		r.log = append(r.log, what)
	}
	close(r.change)
	r.change = make(chan struct{})
}

// Reset implements [authcore.Follower].
func (r *Recorder) Reset() { r.note("reset", func() { r.resets++ }) }

// Apply implements [authcore.Follower].
func (r *Recorder) Apply(e authcore.NodeEvent) int {
	if r.Hook != nil {
		r.Hook(e)
	}
	r.note("apply "+string(e.Account), func() { r.events = append(r.events, e) })
	return r.Closed
}

// Fresh implements [authcore.Follower].
func (r *Recorder) Fresh(at time.Time) {
	r.note("", func() {
		if r.resets == 0 {
			r.log = append(r.log, "fresh before reset")
		}
		if at.Before(r.fresh) {
			r.log = append(r.log, "fresh went back")
		}
		r.fresh = at
	})
}

// Events returns the events that were applied.
func (r *Recorder) Events() []authcore.NodeEvent {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// Log returns the calls of Reset and Apply, in order, and errors in their order.
func (r *Recorder) Log() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.log)
}

// Resets returns the number of calls of Reset.
func (r *Recorder) Resets() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.resets
}

// LastFresh returns the time of the last call of Fresh.
func (r *Recorder) LastFresh() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fresh
}

// Await waits until ok returns true; it calls ok after every call of the follower.
func (r *Recorder) Await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(Patience)
	for {
		r.mu.Lock()
		change := r.change
		r.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-change:
		case <-deadline:
			t.Fatalf("waited in vain for %s; heard %s", what, clip(r.Log()))
		}
	}
}

// AwaitFresh waits until every event that is stored by now is applied.
func (r *Recorder) AwaitFresh(t testing.TB) {
	t.Helper()
	at := time.Now()
	r.Await(t, "freshness", func() bool { return !r.LastFresh().Before(at) })
}

// AwaitEvents waits until so many events were applied.
func (r *Recorder) AwaitEvents(t testing.TB, n int) {
	t.Helper()
	r.Await(t, fmt.Sprintf("event %d", n), func() bool { return len(r.Events()) >= n })
}

// Follow lets r follow f until stop is called or the test ends, and returns when r follows.
func Follow(t testing.TB, f authcore.Feed, r *Recorder) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.Follow(ctx, r)
	}()
	stop = func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(Patience):
			t.Error("Follow does not return")
		}
	}
	t.Cleanup(stop)
	r.AwaitFresh(t)
	return stop
}

// followAll lets all nodes follow; they close 10, 11 and 12 connections for each event.
func followAll(t *testing.T, feeds Feeds) (rs [3]*Recorder) {
	t.Helper()
	for i, f := range feeds {
		rs[i] = NewRecorder(10 + i)
		Follow(t, f, rs[i])
	}
	return rs
}

func publish(t *testing.T, f authcore.Feed, account string) []authcore.NodeReceipt {
	t.Helper()
	receipts, err := f.Publish(t.Context(), authcore.NodeEvent{Account: authcore.AccountID(account), Epoch: 1})
	must(t, err)
	return receipts
}

func names(events []authcore.NodeEvent) (out []string) {
	for _, e := range events {
		out = append(out, string(e.Account))
	}
	return out
}

// wantClosed checks that nodes answered, and what they closed.
func wantClosed(t *testing.T, receipts []authcore.NodeReceipt, closed ...int) {
	t.Helper()
	var got []int
	nodes := make(map[string]bool)
	for _, r := range receipts {
		if !r.Answered || r.Took <= 0 || r.Node == "" || nodes[r.Node] {
			t.Errorf("receipt %+v", r)
		}
		nodes[r.Node] = true
		got = append(got, r.Closed)
	}
	slices.Sort(got)
	want(t, "closed", got, closed)
}

func feedResetFirst(t *testing.T, feeds Feeds) {
	publish(t, feeds[0], "before")
	r := NewRecorder(0)
	Follow(t, feeds[1], r)
	publish(t, feeds[0], "after")
	r.AwaitEvents(t, 1)
	want(t, "heard", r.Log(), []string{"reset", "apply after"})
}

func feedDelivery(t *testing.T, feeds Feeds) {
	rs := followAll(t, feeds)
	events := []authcore.NodeEvent{
		{Account: "a", Sessions: []authcore.SessionID{"s1", "s2"}},
		{Account: "b", Epoch: 1 << 60, Kept: "s3"},
		{Account: "c", Epoch: 1},
		{Account: "d", Changed: true},
		{Account: "e", Away: "s4"},
		{Account: "f", Sessions: []authcore.SessionID{"s5"}, Epoch: 2, Kept: "s6", Changed: true, Away: "s7"},
		{Keys: true},
	}
	for _, e := range events {
		_, err := feeds[1].Publish(t.Context(), e)
		must(t, err)
	}
	for i, r := range rs {
		r.AwaitFresh(t)
		if i == 1 {
			want(t, "the publisher's own", r.Events(), nil)
		} else {
			want(t, "events", r.Events(), events)
		}
	}
}

func feedOrder(t *testing.T, feeds Feeds) {
	rs := followAll(t, feeds)
	var all []string
	for i := range rounds {
		all = append(all, fmt.Sprint(i))
		publish(t, feeds[i%2], all[i])
	}
	rs[2].AwaitEvents(t, rounds)
	want(t, "order", names(rs[2].Events()), all)
}

func feedOneOrder(t *testing.T, feeds Feeds) {
	rs := followAll(t, feeds)
	parallel(racers, func(i int) { publish(t, feeds[0], fmt.Sprint(i)) })
	rs[1].AwaitEvents(t, racers)
	rs[2].AwaitEvents(t, racers)
	want(t, "order", names(rs[1].Events()), names(rs[2].Events()))
}

func feedReceipts(t *testing.T, feeds Feeds) {
	if got := publish(t, feeds[0], "nobody"); len(got) != 0 {
		t.Errorf("receipts of nobody: %+v", got)
	}
	rs := followAll(t, feeds)
	wantClosed(t, publish(t, feeds[0], "a"), 11, 12)
	// A node answers after it has applied the event.
	want(t, "applied", [2]int{len(rs[1].Events()), len(rs[2].Events())}, [2]int{1, 1})
	wantClosed(t, publish(t, feeds[1], "b"), 10, 12)
	wantClosed(t, publish(t, feeds[2], "c"), 10, 11)
}

func feedReceiptsAtOnce(t *testing.T, feeds Feeds) {
	followAll(t, feeds)
	parallel(racers, func(i int) {
		closed := [][]int{{11, 12}, {10, 12}, {10, 11}}[i%3]
		receipts, err := feeds[i%3].Publish(t.Context(), authcore.NodeEvent{Account: "a", Epoch: 1})
		if err != nil {
			t.Error(err)
			return
		}
		wantClosed(t, receipts, closed...)
	})
}

func feedOnlyPublishes(t *testing.T, feeds Feeds) {
	Follow(t, feeds[1], NewRecorder(1))
	Follow(t, feeds[2], NewRecorder(2))
	parallel(4, func(int) {
		receipts, err := feeds[0].Publish(t.Context(), authcore.NodeEvent{Account: "a", Epoch: 1})
		if err != nil {
			t.Error(err)
			return
		}
		wantClosed(t, receipts, 1, 2)
	})
}

// stuck returns a recorder whose Apply waits until the test lets it go on, or ends.
func stuck(t *testing.T) (r *Recorder, release func()) {
	t.Helper()
	r = NewRecorder(3)
	gate := make(chan struct{})
	release = sync.OnceFunc(func() { close(gate) })
	r.Hook = func(authcore.NodeEvent) { <-gate }
	return r, release
}

func feedSilence(t *testing.T, feeds Feeds) {
	Follow(t, feeds[0], NewRecorder(0))
	Follow(t, feeds[1], NewRecorder(1))
	r, release := stuck(t)
	Follow(t, feeds[2], r)
	t.Cleanup(release)
	receipts := publish(t, feeds[0], "a")
	slices.SortFunc(receipts, func(a, b authcore.NodeReceipt) int { return b.Closed - a.Closed })
	if len(receipts) != 2 {
		t.Fatalf("receipts %+v", receipts)
	}
	wantClosed(t, receipts[:1], 1)
	if got := receipts[1]; got.Answered || got.Closed != 0 || got.Node == "" {
		t.Errorf("the receipt of a silent node: %+v", got)
	}
	release()
	r.AwaitEvents(t, 1)
	// A late answer does not count for another event.
	r.AwaitFresh(t)
	wantClosed(t, publish(t, feeds[0], "b"), 1, 3)
}

func feedContextEnds(t *testing.T, feeds Feeds) {
	r, release := stuck(t)
	Follow(t, feeds[1], r)
	t.Cleanup(release)
	ctx, cancel := context.WithCancel(t.Context())
	gate := r.Hook
	r.Hook = func(e authcore.NodeEvent) { cancel(); gate(e) } // by then it is stored
	receipts, err := feeds[0].Publish(ctx, authcore.NodeEvent{Account: "a", Epoch: 1})
	must(t, err)
	if len(receipts) != 1 || receipts[0].Answered {
		t.Errorf("receipts %+v", receipts)
	}
}

func feedLeft(t *testing.T, feeds Feeds) {
	r := NewRecorder(1)
	stop := Follow(t, feeds[1], r)
	Follow(t, feeds[2], NewRecorder(2))
	stop()
	wantClosed(t, publish(t, feeds[0], "a"), 2)
	want(t, "heard after it left", r.Events(), nil)
}

func feedAgain(t *testing.T, feeds Feeds) {
	r := NewRecorder(1)
	stop := Follow(t, feeds[1], r)
	publish(t, feeds[0], "a")
	stop()
	publish(t, feeds[0], "missed")
	Follow(t, feeds[1], r)
	wantClosed(t, publish(t, feeds[0], "b"), 1)
	want(t, "heard", r.Log(), []string{"reset", "apply a", "reset", "apply b"})
}

// feedSlow has a follower that is busy while others publish. It is still a known node, and its own publications get
// answers.
func feedSlow(t *testing.T, feeds Feeds) {
	r, release := stuck(t)
	Follow(t, feeds[1], r)
	t.Cleanup(release)
	Follow(t, feeds[2], NewRecorder(2))
	ctx, cancel := context.WithCancel(t.Context())
	gate := r.Hook
	r.Hook = func(e authcore.NodeEvent) { cancel(); gate(e) }
	_, err := feeds[0].Publish(ctx, authcore.NodeEvent{Account: "first", Epoch: 1})
	must(t, err)
	wantClosed(t, publish(t, feeds[1], "of the busy one"), 2)
	release()
	publish(t, feeds[0], "last")
	r.AwaitEvents(t, 2)
	want(t, "heard", r.Log(), []string{"reset", "apply first", "apply last"})
}

func feedHostile(t *testing.T, feeds Feeds) {
	r := NewRecorder(0)
	Follow(t, feeds[1], r)
	var all []authcore.NodeEvent
	for _, s := range hostile {
		e := authcore.NodeEvent{
			Account: authcore.AccountID(s), Sessions: []authcore.SessionID{authcore.SessionID(s), "x"}, Kept: authcore.SessionID(s),
			Away: authcore.SessionID(s),
		}
		_, err := feeds[0].Publish(t.Context(), e)
		must(t, err)
		all = append(all, e)
	}
	r.AwaitEvents(t, len(all))
	want(t, "events", r.Events(), all)
}

func feedCanceled(t *testing.T, feeds Feeds) {
	_, err := feeds[0].Publish(canceled(), authcore.NodeEvent{Keys: true})
	wantCanceled(t, "publishing", err)
	feeds[0].Follow(canceled(), NewRecorder(0)) // returns
}
