package authcore

import (
	"context"
	"errors"
	"time"
)

// sessionLoad is a look-up under way, which many wait for.
type sessionLoad struct {
	done  chan struct{}
	again bool // what was read may be out of date already; guarded by the shard's mu
	known *knownSession
	err   error
}

type sessionLoader func(ctx context.Context) (Session, Account, error)

// errPanicked is what a look-up ends with that did not get to its end.
var errPanicked = unavailable("looking up a session", errors.New("the look-up panicked"))

var errOthersAccount = stale("the session belongs to another account")

// heard reports whether the other processes were heard lately enough to believe what is known.
func (l *Live) heard(now time.Duration) bool {
	return !l.followed || int64(now)-l.fresh.Load() <= l.grace.Load()
}

// believes reports whether k need not be looked up again.
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

// lookup returns the session and what is known of it, asking load only if that cannot be believed. The entry is in place
// before load runs, so that an end that races the look-up finds something to mark. A session that turns out to be over
// loses its connections.
func (l *Live) lookup(ctx context.Context, account AccountID, id SessionID, load sessionLoader) (*liveSession, *knownSession, error) {
	sh := l.shard(account)
	sh.mu.Lock()
	e, ok := sh.sessions[id]
	if ok {
		if e.account != account { // as the store would say, which is asked where the two accounts are not of one shard
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

// load asks the stores, for all who wait for ld.
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
			ld.err = unavailable("looking up a session", errors.New("its account's sessions end faster than it can be read"))
		default:
			ld.known, ld.err = k, nil
		}
		conns, finished = sh.loadedLocked(e, ld), true
		sh.mu.Unlock()
		return
	}
}

// loadedLocked ends a look-up, and returns the connections that are to be told that the session is over. Callers that
// waited share a failure; the next one asks again. Where connections hang on the session, and it could not be asked
// whether it lives, it stays.
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

// staleRound is a round that never is.
const staleRound = ^uint64(0)

// stale has every session of an account looked up anew before it is believed: what the stores say of it has changed.
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

// rotated notes that a session has a token of a generation. A look-up that began before, or a store that went back to an
// older state, does not take it back.
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

// doubt begins a new round: nothing that was looked up before is believed.
func (l *Live) doubt() { l.round.Add(1) }

// doubted returns the sessions with connections that were looked up in an earlier round.
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
