package authcore

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// EndCause says why a live connection is ended from outside.
type EndCause uint8

// The causes. How each is told to a peer is the protocol's affair.
const (
	EndSession  EndCause = iota // its session is over: logout, an operator, or time
	EndToken                    // the token that it was opened with expired, and the route binds it to that
	EndShutdown                 // the process is going away
)

// LiveConn is a connection that hangs on a session. End tells it to close; it must not block, and may be called more
// than once and from any goroutine.
type LiveConn interface{ End(EndCause) }

// Lease is a connection's place among the live ones. Its zero value holds nothing. It is meant to be a field of the
// connection, so that being registered costs no allocation.
type Lease struct {
	conn       LiveConn
	session    *liveSession
	timer      *time.Timer
	prev, next *Lease
}

// Live is what this process knows of sessions: those it looked up lately, and the connections that hang on each. A
// session found alive stays known until it ends, so that proving a token needs no store; every end of a session must
// therefore pass through it.
type Live struct {
	seed   maphash.Seed
	shards [liveShards]liveShard
	anon   liveSession // holds the connections of visitors; never in a shard's map, never ended by a session
	now    func() time.Time
	total  atomic.Int64 // connections

	stopping atomic.Bool // the process is going away; nothing new is held
}

const (
	liveShards       = 64
	sessionsPerShard = 4096 // kept without a connection; beyond that, any of them goes
)

type liveShard struct {
	mu       sync.Mutex
	sessions map[SessionID]*liveSession
}

type liveSession struct {
	shard   *liveShard
	session Session
	account Account

	// Guarded by shard.mu.
	ended  bool
	conns  int
	first  *Lease
	timer  *time.Timer // fires at the absolute end, while there are connections
	loaded chan struct{}
	err    error

	lastSeen atomic.Int64 // unix milliseconds
	flushed  int64        // what of lastSeen the store knows; guarded by shard.mu
}

// NewLive makes an empty table.
func NewLive(now func() time.Time) *Live {
	l := &Live{seed: maphash.MakeSeed(), now: now}
	for i := range l.shards {
		l.shards[i].sessions = make(map[SessionID]*liveSession)
	}
	l.anon.shard = &liveShard{}
	return l
}

func (l *Live) shard(id SessionID) *liveShard {
	return &l.shards[maphash.String(l.seed, string(id))%liveShards]
}

type sessionLoader func(ctx context.Context) (Session, Account, error)

// lookup returns the session, asking load only if it is not known. The entry is in place before load runs, so that an
// end that races the look-up finds something to mark.
func (l *Live) lookup(ctx context.Context, account AccountID, id SessionID, load sessionLoader) (_ *liveSession, err error) {
	sh := l.shard(id)
	sh.mu.Lock()
	if e, ok := sh.sessions[id]; ok {
		loaded := e.loaded
		sh.mu.Unlock()
		if loaded != nil {
			select {
			case <-loaded:
			case <-ctx.Done():
				return nil, unavailable("waiting for a session look-up", ctx.Err())
			}
		}
		return e, e.err
	}
	e := &liveSession{shard: sh, session: Session{ID: id, Account: account}, loaded: make(chan struct{})}
	sh.evictLocked()
	sh.sessions[id] = e
	sh.mu.Unlock()

	var s Session
	var a Account
	err = unavailable("looking up a session", errors.New("the look-up panicked")) // for those who wait, if it does
	defer func() {
		sh.mu.Lock()
		defer sh.mu.Unlock()
		done := e.loaded
		if err == nil && e.ended {
			err = errSessionOver
		}
		if err != nil {
			// Callers that waited share this failure; the next one asks again.
			e.err = err
			if sh.sessions[id] == e {
				delete(sh.sessions, id)
			}
		} else {
			e.session, e.account = s, a
			e.flushed = s.LastSeenAt.UnixMilli()
			e.lastSeen.Store(e.flushed)
			e.loaded = nil
		}
		close(done)
	}()
	s, a, err = load(ctx)
	return e, err
}

// evictLocked makes room by dropping sessions that no connection hangs on; map order is random enough.
func (sh *liveShard) evictLocked() {
	if len(sh.sessions) < sessionsPerShard {
		return
	}
	looked := 0
	for id, e := range sh.sessions {
		if e.conns == 0 && e.loaded == nil && e.lastSeen.Load() == e.flushed {
			delete(sh.sessions, id)
			return
		}
		if looked++; looked > 64 {
			return
		}
	}
}

// hold registers conn under e, or reports false where e has ended or is no longer the known entry of its session. A
// positive till ends conn after that time.
func (l *Live) hold(e *liveSession, conn LiveConn, lease *Lease, till time.Duration) bool {
	e.shard.mu.Lock()
	defer e.shard.mu.Unlock()
	if l.stopping.Load() {
		return false
	}
	if e != &l.anon {
		if e.ended || e.shard.sessions[e.session.ID] != e {
			return false
		}
		if e.timer == nil {
			account, id := e.session.Account, e.session.ID
			e.timer = time.AfterFunc(e.session.ExpiresAt.Sub(l.now()), func() { l.end(account, []SessionID{id}) })
		}
	}
	lease.conn, lease.session, lease.next = conn, e, e.first
	if e.first != nil {
		e.first.prev = lease
	}
	e.first = lease
	e.conns++
	if till > 0 {
		lease.timer = time.AfterFunc(till, func() { conn.End(EndToken) })
	}
	l.total.Add(1)
	return true
}

// Release takes a connection off the live ones. It may be called on a lease that holds nothing, and again.
func (l *Live) Release(lease *Lease) {
	e := lease.session
	if e == nil {
		return
	}
	e.shard.mu.Lock()
	defer e.shard.mu.Unlock()
	if lease.conn == nil {
		return
	}
	if lease.timer != nil {
		lease.timer.Stop()
	}
	if lease.prev != nil {
		lease.prev.next = lease.next
	} else {
		e.first = lease.next
	}
	if lease.next != nil {
		lease.next.prev = lease.prev
	}
	lease.conn, lease.prev, lease.next = nil, nil, nil
	l.total.Add(-1)
	if e.conns--; e.conns == 0 && e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
}

// end marks sessions of an account as over and ends their connections; it returns how many those were. The store must
// know first.
func (l *Live) end(account AccountID, ids []SessionID) int {
	n := 0
	for _, id := range ids {
		sh := l.shard(id)
		sh.mu.Lock()
		e, ok := sh.sessions[id]
		if !ok || e.session.Account != account {
			sh.mu.Unlock()
			continue
		}
		e.ended = true
		delete(sh.sessions, id)
		conns := e.connsLocked()
		sh.mu.Unlock()
		for _, c := range conns {
			c.End(EndSession)
		}
		n += len(conns)
	}
	return n
}

// known returns the sessions of an account that this process knows, or is looking up. It looks at every entry, which
// what it is for, ending all of them, is rare enough to pay.
func (l *Live) known(account AccountID, except SessionID) []SessionID {
	var out []SessionID
	for i := range l.shards {
		sh := &l.shards[i]
		sh.mu.Lock()
		for id, e := range sh.sessions {
			if e.session.Account == account && id != except {
				out = append(out, id)
			}
		}
		sh.mu.Unlock()
	}
	return out
}

func (e *liveSession) connsLocked() []LiveConn {
	out := make([]LiveConn, 0, e.conns)
	for lease := e.first; lease != nil; lease = lease.next {
		out = append(out, lease.conn)
	}
	return out
}

// EndAll ends every connection with [EndShutdown], evenly spread over a time, and returns when it has told them all.
func (l *Live) EndAll(ctx context.Context, spread time.Duration) int {
	l.stopping.Store(true) // before a shard is looked at, under whose lock it is read
	var all []LiveConn
	collect := func(sh *liveShard, e *liveSession) {
		sh.mu.Lock()
		defer sh.mu.Unlock()
		if e != nil {
			all = append(all, e.connsLocked()...)
			return
		}
		for _, e := range sh.sessions {
			all = append(all, e.connsLocked()...)
		}
	}
	collect(l.anon.shard, &l.anon)
	for i := range l.shards {
		collect(&l.shards[i], nil)
	}
	start := time.Now()
	for i, c := range all {
		due := start.Add(spread * time.Duration(i) / time.Duration(len(all)))
		if pause := time.Until(due); pause > time.Millisecond {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				spread = 0 // no time left: tell the rest at once
			}
		}
		c.End(EndShutdown)
	}
	return len(all)
}

// Connections returns how many connections are live.
func (l *Live) Connections() int { return int(l.total.Load()) }

// Sessions returns how many sessions are known.
func (l *Live) Sessions() int {
	n := 0
	for i := range l.shards {
		sh := &l.shards[i]
		sh.mu.Lock()
		n += len(sh.sessions)
		sh.mu.Unlock()
	}
	return n
}

// touches returns the uses that the store has not seen. A live connection is a use.
func (l *Live) touches() []Touch {
	var out []Touch
	now := l.now().UnixMilli()
	for i := range l.shards {
		sh := &l.shards[i]
		sh.mu.Lock()
		for _, e := range sh.sessions {
			if e.loaded != nil {
				continue
			}
			if e.conns > 0 {
				e.lastSeen.Store(now)
			}
			if seen := e.lastSeen.Load(); seen > e.flushed {
				out = append(out, Touch{e.session.Account, e.session.ID, time.UnixMilli(seen).UTC()})
				e.flushed = seen
			}
		}
		sh.mu.Unlock()
	}
	return out
}
