package authcore

import "time"

// EndCause is the reason why chatgate ends a live connection.
type EndCause uint8

// The causes. Each protocol tells its peers in its own way.
const (
	EndSession  EndCause = iota // its session is over: logout, an operator, or time
	EndToken                    // the token that it was opened with has expired, and the route ends it then
	EndShutdown                 // this process is stopping, or was cut off from the other nodes for too long; reconnecting may reach another
)

// LiveConn is a connection under a session. End tells it to close; it must not block, and may be called more than once
// and from any goroutine.
type LiveConn interface{ End(EndCause) }

// Lease is the registration of a live connection. Its zero value holds nothing. Make it a field of the connection, so
// that registering allocates nothing.
type Lease struct {
	conn       LiveConn
	session    *liveSession
	timer      *time.Timer
	prev, next *Lease
}

// attach registers conn under e. It returns false if e has ended, has been replaced in the table, or was looked up before
// events may have been missed. A positive till ends conn after that time.
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

// Release ends the registration of a connection that is gone. It may be called again, and on a lease that holds nothing.
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

// noteLocked marks an account whose session went online or offline here, so that its presence is stored at once. Other
// changes of its number of connections can wait.
func (l *Live) noteLocked(e *liveSession) {
	if l.presence && e != &l.anon && (e.shownLocked() == 0) != (e.told == 0) {
		e.shard.changed[e.account] = struct{}{}
	}
}

// shownLocked returns the number of connections to show to others.
func (e *liveSession) shownLocked() int {
	if e.away {
		return 0
	}
	return e.conns
}
