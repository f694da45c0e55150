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
	EndShutdown                 // this process is going away, or was cut off from the others for too long; others may serve
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

// sessionLoad is a look-up under way, which many wait for.
type sessionLoad struct {
	done  chan struct{}
	again bool // what was read may be out of date already; guarded by the shard's mu
	known *knownSession
	err   error
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

type sessionLoader func(ctx context.Context) (Session, Account, error)

var errOthersAccount = stale("the session belongs to another account")

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
	ld := &sessionLoad{done: make(chan struct{}), err: unavailable("looking up a session", errors.New("the look-up panicked"))}
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

// attach registers conn under e, or reports false where e has ended, is no longer the known entry of its session, or was
// looked up before something may have been missed. A positive till ends conn after that time.
func (l *Live) attach(e *liveSession, conn LiveConn, lease *Lease, till time.Duration) bool {
	e.shard.mu.Lock()
	defer e.shard.mu.Unlock()
	if l.stopping.Load() {
		return false
	}
	if e != &l.anon {
		k := e.known.Load()
		if e.ended || e.shard.sessions[e.id] != e || k == nil || k.round != l.round.Load() {
			return false
		}
		if e.timer == nil {
			e.timer = time.AfterFunc(k.session.ExpiresAt.Sub(l.now()), func() { l.end(e.account, e.id) })
		}
	}
	lease.conn, lease.session, lease.next = conn, e, e.first
	if e.first != nil {
		e.first.prev = lease
	}
	e.first = lease
	e.conns++
	e.away = false
	l.noteLocked(e)
	if till > 0 {
		lease.timer = time.AfterFunc(till, func() { conn.End(EndToken) })
	}
	l.total.Add(1)
	return true
}

// Release takes the connection off the live ones, once it is gone. It may be called on a lease that holds nothing, and
// again.
func (lease *Lease) Release() {
	e := lease.session
	if e == nil {
		return
	}
	l := e.shard.live
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
	e.conns--
	l.noteLocked(e)
	if e.conns == 0 && e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
}

// noteLocked notes that the others are to hear of a session that came to life here, or ceased to be. How many
// connections it has beyond the first can wait.
func (l *Live) noteLocked(e *liveSession) {
	if l.presence && e != &l.anon && (e.shownLocked() == 0) != (e.told == 0) {
		e.shard.changed[e.account] = struct{}{}
	}
}

// shownLocked returns how many connections others are told of.
func (e *liveSession) shownLocked() int {
	if e.away {
		return 0
	}
	return e.conns
}

// goAway shows a session as offline until another connection is held under it.
func (l *Live) goAway(account AccountID, id SessionID) {
	sh := l.shard(account)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e, ok := sh.sessions[id]; ok && e.account == account {
		e.away = true
		l.noteLocked(e)
	}
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

// EndAll ends every connection with [EndShutdown], evenly spread over a time, and returns when it has told them all. No
// connection is held from then on.
func (l *Live) EndAll(ctx context.Context, spread time.Duration) int {
	l.stopping.Store(true) // before a shard is looked at, under whose lock it is read
	l.anon.shard.mu.Lock()
	all := l.anon.connsLocked()
	l.anon.shard.mu.Unlock()
	return shutDown(ctx, append(all, l.sessionConns()...), spread)
}

// Dismiss does so with the connections that hang on a session, and others may come: whether the sessions live cannot be
// asked here any more.
func (l *Live) Dismiss(ctx context.Context, spread time.Duration) int {
	return shutDown(ctx, l.sessionConns(), spread)
}

func (l *Live) sessionConns() []LiveConn {
	var all []LiveConn
	l.each(func(e *liveSession) { all = append(all, e.connsLocked()...) })
	return all
}

func shutDown(ctx context.Context, all []LiveConn, spread time.Duration) int {
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

// presenceOf returns how many connections hang on each session of an account.
func (l *Live) presenceOf(account AccountID) map[SessionID]int {
	sh := l.shard(account)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.presenceLocked(account, func(*liveSession) {})
}

func (sh *liveShard) presenceLocked(account AccountID, note func(*liveSession)) map[SessionID]int {
	out := make(map[SessionID]int)
	for e := sh.accounts[account]; e != nil; e = e.sibling {
		note(e)
		if n := e.shownLocked(); n > 0 {
			out[e.id] = n
		}
	}
	return out
}

// changes returns the accounts whose presence is to be told, with their connections by session, and takes them for told:
// those that were noted, and those with a session of which due, unless it is nil, says so.
func (l *Live) changes(due func(*liveSession) bool) map[AccountID]map[SessionID]int {
	out := make(map[AccountID]map[SessionID]int)
	for i := range l.shards {
		sh := &l.shards[i]
		sh.mu.Lock()
		if due != nil {
			for _, e := range sh.sessions {
				if due(e) {
					sh.changed[e.account] = struct{}{}
				}
			}
		}
		for account := range sh.changed {
			out[account] = sh.presenceLocked(account, func(e *liveSession) { e.told = e.shownLocked() })
		}
		clear(sh.changed)
		sh.mu.Unlock()
	}
	return out
}

// untold takes accounts for not told: telling failed.
func (l *Live) untold(accounts map[AccountID]map[SessionID]int) {
	for account := range accounts {
		sh := l.shard(account)
		sh.mu.Lock()
		sh.changed[account] = struct{}{}
		sh.mu.Unlock()
	}
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
