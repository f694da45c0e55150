package authcore

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// Live is what this process knows of sessions: those it looked up lately, and the connections that hang on each. A
// session found alive stays known until it ends, so that proving a token needs no store; every end of a session must
// therefore pass through it. Where other processes end sessions too, what is known is believed only while they are
// heard, see [Feed], and looked up anew every few minutes.
type Live struct {
	seed   maphash.Seed
	shards [liveShards]liveShard
	anon   liveSession // holds the connections of visitors; never in a shard's map, never ended by a session
	now    func() time.Time
	total  atomic.Int64 // connections

	hits, misses atomic.Uint64 // of lookup
	stopping     atomic.Bool   // the process is going away; nothing new is held

	followed bool          // there are other processes
	presence bool          // changes of connections are noted for them
	born     time.Time     // what the times below count from
	fresh    atomic.Int64  // nanoseconds; when everything that others had published was last known to be applied
	grace    atomic.Int64  // nanoseconds that what is known is believed after fresh
	outlive  atomic.Int64  // nanoseconds that connections stay after fresh
	round    atomic.Uint64 // grows when events may have been missed; what was looked up in an earlier round is not believed
}

const (
	liveShards       = 64
	sessionsPerShard = 4096            // kept without a connection; beyond that, any of them goes
	knownFor         = 5 * time.Minute // that a session is believed where others end sessions, in case one was not heard
)

// liveShard has all sessions of an account, for a 64th of the accounts.
type liveShard struct {
	live     *Live
	mu       sync.Mutex
	sessions map[SessionID]*liveSession
	accounts map[AccountID]*liveSession // the first of a list through sibling
	changed  map[AccountID]struct{}     // whose presence is to be told at once
}

type liveSession struct {
	shard   *liveShard
	account AccountID
	id      SessionID
	known   atomic.Pointer[knownSession] // nil until it was looked up

	// Guarded by shard.mu.
	sibling *liveSession // the next of the same account
	ended   bool
	conns   int
	away    bool  // its owner said so; its connections count for nothing until there is another one
	newest  int64 // generation that is known to exist
	told    int   // of conns, to the presence store
	first   *Lease
	timer   *time.Timer // fires at the absolute end, while there are connections
	loading *sessionLoad

	lastSeen atomic.Int64 // unix milliseconds
	flushed  int64        // what of lastSeen the store knows; guarded by shard.mu
}

// knownSession is what the stores said. It does not change.
type knownSession struct {
	session Session
	account Account
	round   uint64
	at      time.Duration // since born
}

// newLive makes an empty table.
func newLive(now func() time.Time) *Live {
	l := &Live{seed: maphash.MakeSeed(), now: now, born: now()}
	for i := range l.shards {
		l.shards[i].live = l
		l.shards[i].sessions = make(map[SessionID]*liveSession)
		l.shards[i].accounts = make(map[AccountID]*liveSession)
		l.shards[i].changed = make(map[AccountID]struct{})
	}
	l.anon.shard = &liveShard{live: l}
	return l
}

func (l *Live) shard(account AccountID) *liveShard {
	return &l.shards[maphash.String(l.seed, string(account))%liveShards]
}

func (sh *liveShard) addLocked(e *liveSession) {
	sh.sessions[e.id] = e
	e.sibling = sh.accounts[e.account]
	sh.accounts[e.account] = e
}

func (sh *liveShard) removeLocked(e *liveSession) {
	delete(sh.sessions, e.id)
	head := sh.accounts[e.account]
	if head == e {
		if e.sibling == nil {
			delete(sh.accounts, e.account)
		} else {
			sh.accounts[e.account] = e.sibling
		}
		return
	}
	for ; head != nil; head = head.sibling {
		if head.sibling == e {
			head.sibling = e.sibling
			return
		}
	}
}

// endLocked marks a session as over, and returns the connections that are to be told.
func (sh *liveShard) endLocked(e *liveSession) []LiveConn {
	e.ended = true
	if sh.sessions[e.id] == e {
		sh.removeLocked(e)
	}
	return e.connsLocked()
}

// evictLocked makes room by dropping sessions that no connection hangs on; map order is random enough.
func (sh *liveShard) evictLocked() {
	if len(sh.sessions) < sessionsPerShard {
		return
	}
	looked := 0
	for _, e := range sh.sessions {
		if e.conns == 0 && e.told == 0 && e.loading == nil && e.lastSeen.Load() == e.flushed {
			sh.removeLocked(e)
			return
		}
		if looked++; looked > 64 {
			return
		}
	}
}

// end marks sessions of an account as over and ends their connections; it returns how many those were. The store must
// know first.
func (l *Live) end(account AccountID, ids ...SessionID) int {
	sh := l.shard(account)
	var conns []LiveConn
	sh.mu.Lock()
	for _, id := range ids {
		if e, ok := sh.sessions[id]; ok && e.account == account {
			conns = append(conns, sh.endLocked(e)...)
		}
	}
	sh.mu.Unlock()
	for _, c := range conns {
		c.End(EndSession)
	}
	return len(conns)
}

// endEpochs does what end does, for every session of the account that was begun before an epoch, but kept.
func (l *Live) endEpochs(account AccountID, epoch int64, kept SessionID) int {
	sh := l.shard(account)
	var conns []LiveConn
	sh.mu.Lock()
	for e := sh.accounts[account]; e != nil; e = e.sibling {
		if e.loading != nil {
			e.loading.again = true // it may have been read before, or after
		}
		if k := e.known.Load(); k != nil && k.session.Epoch < epoch && e.id != kept {
			conns = append(conns, sh.endLocked(e)...)
		}
	}
	sh.mu.Unlock()
	for _, c := range conns {
		c.End(EndSession)
	}
	return len(conns)
}

func (e *liveSession) connsLocked() []LiveConn {
	out := make([]LiveConn, 0, e.conns)
	for lease := e.first; lease != nil; lease = lease.next {
		out = append(out, lease.conn)
	}
	return out
}

// each calls f for every session, with its shard locked.
func (l *Live) each(f func(*liveSession)) {
	for i := range l.shards {
		sh := &l.shards[i]
		sh.mu.Lock()
		for _, e := range sh.sessions {
			f(e)
		}
		sh.mu.Unlock()
	}
}

// knownSession returns what is known of a session, or nil.
func (l *Live) knownSession(account AccountID, id SessionID) *knownSession {
	sh := l.shard(account)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e, ok := sh.sessions[id]; ok && e.account == account {
		return e.known.Load()
	}
	return nil
}

// Connections returns how many connections are live.
func (l *Live) Connections() int { return int(l.total.Load()) }

// Sessions returns how many sessions are known.
func (l *Live) Sessions() int {
	n := 0
	l.each(func(*liveSession) { n++ })
	return n
}

// touches returns the uses that the store has not seen. A live connection is a use.
func (l *Live) touches() []Touch {
	var out []Touch
	now := l.now().UnixMilli()
	l.each(func(e *liveSession) {
		if e.known.Load() == nil {
			return
		}
		if e.conns > 0 {
			e.lastSeen.Store(now)
		}
		if seen := e.lastSeen.Load(); seen > e.flushed {
			out = append(out, Touch{e.account, e.id, time.UnixMilli(seen).UTC()})
			e.flushed = seen
		}
	})
	return out
}
