package authcore

import (
	"context"
	"errors"
	"time"
)

// sessionLoad is a look-up in progress, which any number of callers wait for.
type sessionLoad struct {
	done  chan struct{}
	again bool // the result may be out of date already; guarded by the shard's mu
	known *knownSession
	err   error
}

type sessionLoader func(ctx context.Context) (Session, Account, error)

// errPanicked is what a look-up ends with that did not get to its end.
var errPanicked = unavailable("looking up a session", errors.New("the look-up panicked"))

var errOthersAccount = stale("the session belongs to another account")

// heard reports whether the feed is fresh enough to trust the table.
func (l *Live) heard(now time.Duration) bool {
	return !l.followed || int64(now)-l.fresh.Load() <= l.grace.Load()
}

// believes reports whether k can be trusted without another look-up.
func (l *Live) believes(k *knownSession) bool {
	if k == nil || k.round != l.round.Load() {
		return false
	}
	if !l.followed {
		return true
	}
	now := l.now().Sub(l.born)
	return now-k.at < knownFor && l.heard(now)
}

// lookup returns a session's entry and its last look-up, and calls load only if that cannot be trusted. The entry is in
// the table before load runs, so that an end that races the look-up can mark it. If the session turns out to be over, its
// connections end.
func (l *Live) lookup(ctx context.Context, account AccountID, id SessionID, load sessionLoader) (*liveSession, *knownSession, error) {
	sh := l.shard(account)
	sh.mu.Lock()
	e, ok := sh.sessions[id]
	if ok {
		if e.account != account { // as the store answers if the two accounts are in different shards
			sh.mu.Unlock()
			return nil, nil, errSessionOver
		}
		if ld := e.loading; ld != nil {
			sh.mu.Unlock()
			l.misses.Add(1)
			select {
			case <-ld.done:
				return e, ld.known, ld.err
			case <-ctx.Done():
				return nil, nil, unavailable("waiting for a session look-up", ctx.Err())
			}
		}
		if k := e.known.Load(); l.believes(k) {
			sh.mu.Unlock()
			l.hits.Add(1)
			return e, k, nil
		}
	} else {
		e = &liveSession{shard: sh, account: account, id: id}
		sh.evictLocked()
		sh.addLocked(e)
	}
	ld := &sessionLoad{done: make(chan struct{}), err: errPanicked}
	e.loading = ld
	sh.mu.Unlock()
	l.misses.Add(1)
	l.load(ctx, e, ld, load)
	return e, ld.known, ld.err
}

// load runs the look-up for all who wait for ld.
func (l *Live) load(ctx context.Context, e *liveSession, ld *sessionLoad, load sessionLoader) {
	sh := e.shard
	var conns []LiveConn
	finished := false
	defer func() {
		if !finished { // load panicked
			sh.mu.Lock()
			sh.loadedLocked(e, ld)
			sh.mu.Unlock()
		}
		for _, c := range conns {
			c.End(EndSession)
		}
	}()
	for try := 1; ; try++ {
		k := &knownSession{round: l.round.Load(), at: l.now().Sub(l.born)}
		var err error
		k.session, k.account, err = load(ctx)
		sh.mu.Lock()
		if err == nil && ld.again && try < 4 {
			ld.again = false
			sh.mu.Unlock()
			continue
		}
		switch {
		case err != nil:
			ld.err = err
		case ld.again:
			ld.err = unavailable("looking up a session", errors.New("sessions of the account end faster than this one can be read"))
		default:
			ld.known, ld.err = k, nil
		}
		conns, finished = sh.loadedLocked(e, ld), true
		sh.mu.Unlock()
		return
	}
}

// loadedLocked ends a look-up, and returns the connections to end. Callers that waited share a failure; the next one
// looks up again. After a failure a session with connections stays in the table.
func (sh *liveShard) loadedLocked(e *liveSession, ld *sessionLoad) (conns []LiveConn) {
	e.loading = nil
	if ld.err == nil && e.ended {
		ld.known, ld.err = nil, errSessionOver
	}
	switch {
	case ld.err == nil:
		e.newest = max(e.newest, ld.known.session.Generation)
		ld.known.session.Generation = e.newest
		e.known.Store(ld.known)
		seen := ld.known.session.LastSeenAt.UnixMilli()
		e.flushed = max(e.flushed, seen)
		e.lastSeen.Store(max(e.lastSeen.Load(), seen))
	case KindOf(ld.err) == KindSessionOver:
		conns = sh.endLocked(e)
	case e.conns == 0 && sh.sessions[e.id] == e:
		sh.removeLocked(e)
	}
	close(ld.done)
	return conns
}

// staleRound is a round that is never current.
const staleRound = ^uint64(0)

// stale makes every session of an account be looked up again before it is trusted, because the stored account changed.
func (l *Live) stale(account AccountID) {
	sh := l.shard(account)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for e := sh.accounts[account]; e != nil; e = e.sibling {
		if e.loading != nil {
			e.loading.again = true
		}
		if k := e.known.Load(); k != nil {
			old := *k
			old.round = staleRound
			e.known.Store(&old)
		}
	}
}

// rotated notes a session's new generation. Neither a look-up that began before nor a store that went back to an older
// state undoes that.
func (l *Live) rotated(e *liveSession, generation int64) {
	e.shard.mu.Lock()
	defer e.shard.mu.Unlock()
	if generation <= e.newest {
		return
	}
	e.newest = generation
	if k := e.known.Load(); k != nil {
		next := *k
		next.session.Generation = generation
		e.known.Store(&next)
	}
}

// doubt begins a new round, so that no earlier look-up is trusted.
func (l *Live) doubt() { l.round.Add(1) }

// doubted returns the sessions with connections whose look-up is of an earlier round.
func (l *Live) doubted() []*liveSession {
	var out []*liveSession
	round := l.round.Load()
	l.each(func(e *liveSession) {
		if k := e.known.Load(); e.conns > 0 && k != nil && k.round != round {
			out = append(out, e)
		}
	})
	return out
}
