package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

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
		want authcore.NodeEvent
	}{
		{`{}`, authcore.NodeEvent{}},
		{`{"account":"a","sessions":["s"]}`, authcore.NodeEvent{Account: "a", Sessions: []authcore.SessionID{"s"}}},
		{`{"account":"a","epoch":7,"kept":"k"}`, authcore.NodeEvent{Account: "a", Epoch: 7, Kept: "k"}},
		{`{"account":"a","changed":true}`, authcore.NodeEvent{Account: "a", Changed: true}},
		{`{"account":"a","away":"s"}`, authcore.NodeEvent{Account: "a", Away: "s"}},
		{`{"new":{"account":"b","epoch":[8]},"account":"a","epoch":7,"more":null,"gone":true,"":1e400}`, authcore.NodeEvent{Account: "a", Epoch: 7}},
		{`{"keys":true,"purposes":["signing"]}`, authcore.NodeEvent{Keys: true}},
	}
	var events []authcore.NodeEvent
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
	for _, e := range []authcore.NodeEvent{{Account: "a", Changed: true}, {Account: "a", Away: "s"}} {
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
	for _, e := range []authcore.NodeEvent{{Account: "a\xff"}, {Sessions: []authcore.SessionID{"s", "\xff"}}, {Kept: "\xff"}, {Away: "\xff"}} {
		if raw, err := encodeEvent(e); !errors.Is(err, errNotText) {
			t.Errorf("%s, %v", raw, err)
		}
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

// TestFeedBusy gives a stuck follower more than it may hold. It gets all of it, in order, once it goes on.
func TestFeedBusy(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s, publisher := openFeed(t, server), openFeed(t, server)
	r := storetest.NewRecorder(0)
	gate := make(chan struct{})
	r.Hook = func(authcore.NodeEvent) { <-gate }
	release := sync.OnceFunc(func() { close(gate) })
	storetest.Follow(t, s, r)
	t.Cleanup(release)
	const many = 3 * heldAtOnce
	for i := range many {
		raw, err := encodeEvent(authcore.NodeEvent{Account: authcore.AccountID(fmt.Sprint(i)), Epoch: 1})
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
	r.Hook = func(authcore.NodeEvent) { <-gate }
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

func BenchmarkPublish(b *testing.B) {
	server := redistest.Start(b)
	for range 2 {
		storetest.Follow(b, openFeed(b, server), storetest.NewRecorder(0))
	}
	s := openFeed(b, server)
	storetest.Follow(b, s, storetest.NewRecorder(0))
	var all []time.Duration
	for b.Loop() {
		receipts, err := s.Publish(b.Context(), authcore.NodeEvent{Account: "a", Epoch: 1})
		if err != nil || len(receipts) != 2 || !receipts[0].Answered || !receipts[1].Answered {
			b.Fatal(receipts, errors.Join(err))
		}
		all = append(all, max(receipts[0].Took, receipts[1].Took))
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "µs-median")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "µs-p99")
}
