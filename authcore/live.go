package authcore

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// Live is this process's table of sessions: those it looked up lately, and the live connections under each. A session
// found alive stays in the table until it ends, so that proving a token needs no store; every end of a session must
// therefore pass through it. If other processes end sessions as well, the table is trusted only while their [Feed] works,
// and each session is looked up again every few minutes.
type Live struct {
	seed   maphash.Seed
	shards [liveShards]liveShard
	anon   liveSession // holds the connections of visitors; never in a shard's map, never ended by a session
	now    func() time.Time
	total  atomic.Int64 // connections

	hits, misses atomic.Uint64 // of lookup
	stopping     atomic.Bool   // the process is stopping; nothing new is held

	followed bool          // there are other processes
	presence bool          // changes of connections are noted for them
	born     time.Time     // the times below count from it
	fresh    atomic.Int64  // nanoseconds; the last time as of which all events of others are known to be applied
	grace    atomic.Int64  // nanoseconds after fresh for which the table is trusted
	outlive  atomic.Int64  // nanoseconds after fresh for which connections stay
	round    atomic.Uint64 // grows when events may have been missed; look-ups of earlier rounds are not trusted
}

const (
	liveShards       = 64
	sessionsPerShard = 4096            // kept without a connection; beyond that, a random one is dropped
	knownFor         = 5 * time.Minute // how long a look-up is trusted if other processes end sessions, in case an event was missed
)

// liveShard has all sessions of an account, for a 64th of the accounts.
type liveShard struct {
	live     *Live
	mu       sync.Mutex
	sessions map[SessionID]*liveSession
	accounts map[AccountID]*liveSession // the first of a list through sibling
	changed  map[AccountID]struct{}     // their presence is stored at once
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
	away    bool  // set by its owner; its connections do not count until there is another one
	newest  int64 // known generation
	told    int   // number of conns in the presence store
	first   *Lease
	timer   *time.Timer // fires at the absolute end, while there are connections
	loading *sessionLoad

	lastSeen atomic.Int64 // unix milliseconds
	flushed  int64        // the lastSeen that the store has; guarded by shard.mu
}

// knownSession is the result of a look-up. It is immutable.
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

// endLocked marks a session as over, and returns the connections to end.
func (sh *liveShard) endLocked(e *liveSession) []LiveConn {
	e.ended = true
	if sh.sessions[e.id] == e {
		sh.removeLocked(e)
	}
	return e.connsLocked()
}

// evictLocked makes room by dropping sessions without connections; map order is random enough.
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

// end marks sessions of an account as over, ends their connections, and returns how many those were. The store must have
// the end before.
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

// endEpochs is end for every session of the account from an earlier epoch, except kept.
func (l *Live) endEpochs(account AccountID, epoch int64, kept SessionID) int {
	sh := l.shard(account)
	var conns []LiveConn
	sh.mu.Lock()
	for e := sh.accounts[account]; e != nil; e = e.sibling {
		if e.loading != nil {
			e.loading.again = true // its read may have come before or after
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

// knownSession returns the last look-up of a session, or nil.
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

// touches returns the uses that are not stored yet. A live connection is a use.
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
