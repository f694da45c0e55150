package authcore

import (
	"context"
	"slices"
	"sync"
	"time"
)

// The part of a [State] that deals with other processes over the same stores.

// follower applies the events of a feed to its state.
type follower struct{ *State }

var _ Follower = follower{}

// Reset implements [Follower].
func (st follower) Reset() {
	st.live.doubt()
	select {
	case st.doubts <- struct{}{}:
	default:
	}
}

// Apply implements [Follower].
func (st follower) Apply(e NodeEvent) int {
	if e.Keys {
		st.keyring.expire()
		return 0
	}
	return st.apply(e)
}

// Fresh implements [Follower].
func (st follower) Fresh(at time.Time) { st.live.fresh.Store(int64(at.Sub(st.live.born))) }

// apply carries an event out in this process.
func (st *State) apply(e NodeEvent) int {
	n := st.live.end(e.Account, e.Sessions...)
	if e.Epoch > 0 {
		n += st.live.endEpochs(e.Account, e.Epoch, e.Kept)
	}
	if e.Changed {
		st.live.stale(e.Account)
	}
	if e.Away != "" {
		st.live.goAway(e.Account, e.Away)
	}
	return n
}

// recheck looks the sessions with connections up again after every Reset, since their end may have been missed.
func (st *State) recheck(ctx context.Context) {
	const atOnce = 8
	for {
		select {
		case <-st.doubts:
		case <-ctx.Done():
			return
		}
		start, checked, first := st.options.Now(), 0, true
		for {
			doubted := st.live.doubted()
			if len(doubted) == 0 {
				break
			}
			if !first && !pause(ctx, time.Second) { // the stores did not answer
				return
			}
			first, checked = false, len(doubted)
			queue := make(chan *liveSession)
			var workers sync.WaitGroup
			for range atOnce {
				workers.Go(func() {
					for e := range queue {
						_, _, _ = st.live.lookup(ctx, e.account, e.id, st.load(e.account, e.id))
					}
				})
			}
			for _, e := range doubted {
				if ctx.Err() == nil {
					queue <- e
				}
			}
			close(queue)
			workers.Wait()
		}
		if checked > 0 {
			st.options.Log.Info("looked up the sessions with connections again after a break of the feed", "sessions", checked, "took", st.options.Now().Sub(start))
		}
	}
}

// syncNodes publishes the revocations that could not be published before, stores presence, and ends connections when the
// feed has been silent for too long.
func (st *State) syncNodes(ctx context.Context) {
	whole := st.options.Now()
	counts := whole
	broken := false
	for pause(ctx, syncEvery) {
		st.retry(ctx)
		if st.options.Presence != nil {
			now := st.options.Now()
			var due func(*liveSession) bool
			switch {
			case now.Sub(whole) >= presenceEvery:
				whole, counts = now, now
				due = func(e *liveSession) bool { return e.shownLocked() > 0 }
			case now.Sub(counts) >= touchEvery:
				counts = now
				due = func(e *liveSession) bool { return e.shownLocked() != e.told }
			}
			st.publishPresence(ctx, due)
		}
		if st.options.Feed != nil {
			broken = st.watch(broken)
		}
	}
}

func (st *State) publishPresence(ctx context.Context, due func(*liveSession) bool) {
	changed := st.live.changes(due)
	if len(changed) == 0 {
		return
	}
	if err := st.options.Presence.SetPresence(ctx, changed); err != nil {
		st.live.untold(changed)
		st.options.Log.Debug("cannot store presence; trying again", "accounts", len(changed), "error", err)
	}
}

// watch checks the feed and logs changes. It returns whether the feed is broken, given whether it was.
func (st *State) watch(was bool) bool {
	s := st.Stats()
	switch {
	case s.FeedBroken && !was:
		st.options.Log.Error("the feed of the other nodes is silent; looking up every session until it is back", "for", s.FeedLag)
	case !s.FeedBroken && was:
		st.options.Log.Info("the feed of the other nodes is back")
	}
	if s.FeedBroken && s.FeedLag > time.Duration(st.live.outlive.Load()) {
		if n := st.live.Dismiss(context.Background(), 0); n > 0 {
			st.options.Log.Error("ended all connections because the feed of the other nodes was silent for too long", "connections", n, "for", s.FeedLag)
		}
	}
	return s.FeedBroken
}

// postpone keeps a revocation for retry. If it is lost, because there are too many or this process ends, it still takes
// effect at the next look-up, since the accounts' database has it.
func (st *State) postpone(e NodeEvent) {
	const most = 4096
	st.mu.Lock()
	defer st.mu.Unlock()
	same := func(o NodeEvent) bool {
		return o.Account == e.Account && o.Epoch == e.Epoch && o.Kept == e.Kept && slices.Equal(o.Sessions, e.Sessions)
	}
	if slices.ContainsFunc(st.unheard, same) {
		return
	}
	if len(st.unheard) >= most {
		st.unheard = slices.Delete(st.unheard, 0, 1)
	}
	st.unheard = append(st.unheard, e)
}

// retry completes postponed revocations, oldest first.
func (st *State) retry(ctx context.Context) {
	st.mu.Lock()
	waiting := st.unheard
	st.unheard = nil
	st.mu.Unlock()
	for i, e := range waiting {
		if _, err := st.spread(ctx, e); err != nil {
			st.mu.Lock()
			st.unheard = append(waiting[i:], st.unheard...)
			st.mu.Unlock()
			return
		}
		st.options.Log.Info("completed a revocation that had failed before", "account", e.Account)
	}
}

// publishKeys makes the other processes read the keys again. Without it they would do so a little later.
func (st *State) publishKeys(ctx context.Context) {
	if st.options.Feed == nil {
		return
	}
	if _, err := st.options.Feed.Publish(ctx, NodeEvent{Keys: true}); err != nil {
		st.options.Log.Warn("cannot tell the other nodes about a new signing key; they find it a little later", "error", err)
	}
}
