package authcore

import "time"

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
