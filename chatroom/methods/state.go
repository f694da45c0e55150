package methods

import (
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/chatroom/relay"
)

// state is the login state of a connection: a visitor's, or a login's. Authcore holds the state, not the connection, so that
// the end of a session that the connection has left does nothing.
type state struct {
	c     *conn
	lease authcore.Lease
	id    *authcore.Identity // nil: a visitor's
	seat  string             // the key it is counted under
	timer *time.Timer        // for a visitor to log in

	// Guarded by c.mu.
	leg     *leg // nil for a visitor, and where there is no upstream
	leaving bool // a method of this connection is ending its session, and tells the client itself
	ended   bool // its session is over
}

// newVisitor returns the state of a logged-out connection. admitted tells that it has its place already.
func (c *conn) newVisitor(admitted bool) (*state, error) {
	s := &state{c: c, seat: addressKey(c.peer.Client.Addr)}
	if !admitted {
		c.e.o.Counts.Take(s.seat, 0)
	}
	if err := c.accounts.HoldVisitor(s, &s.lease); err != nil {
		if !admitted {
			c.e.o.Counts.Done(s.seat)
		}
		return nil, err
	}
	if d := c.e.o.LoginTimeout; d > 0 {
		s.timer = time.AfterFunc(d, func() {
			c.mu.Lock()
			still := c.state == s
			c.mu.Unlock()
			if still {
				c.shut(relay.CloseExpired, "log in within "+d.String())
			}
		})
	}
	return s, nil
}

// End implements [authcore.LiveConn].
func (s *state) End(cause authcore.EndCause) {
	c := s.c
	if cause == authcore.EndShutdown {
		c.shut(relay.CloseRestart, relay.CloseRestart.Reason())
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	if s.leaving || c.state != s || c.closed {
		return
	}
	c.tasks.Go(func() { c.expel(s) })
}

// expel logs the connection out, and tells the client, because the session of s is over. It does nothing if the connection
// has left s meanwhile.
func (c *conn) expel(s *state) {
	// At once, however slowly the client reads.
	c.hangUp(s, relay.CloseSession.ToUpstream())
	v, err := c.newVisitor(false)
	if err != nil {
		c.shut(relay.CloseRestart, relay.CloseRestart.Reason())
		return
	}
	c.wmu.Lock()
	left := c.become(v, s)
	if left != nil {
		c.writeLocked(textMessage, userLoggedOut)
	}
	c.wmu.Unlock()
	if left == nil {
		v.release()
		return
	}
	s.release()
}

// notLoggedIn is the answer to a request that needs a login. A client whose session is over is told that first.
func (c *conn) notLoggedIn() Code {
	c.mu.Lock()
	s := c.state
	ended := s.ended
	c.mu.Unlock()
	if ended {
		c.expel(s)
	}
	return NotLoggedIn
}

// become changes the state of the connection and returns the previous one. It does nothing and returns nil if that is not
// from, unless from is nil, or if the connection is being closed. The caller holds wmu, so that its next write is the first
// that the client gets in the new state.
func (c *conn) become(to, from *state) *state {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.state
	if c.closed || from != nil && old != from {
		return nil
	}
	// An upstream is not dialled again for a login that looks the same to it.
	if old.leg != nil && to.leg != nil && sameIdentity(old.id, to.id) {
		to.leg, old.leg = old.leg, nil
	}
	if old.leg != nil {
		old.leg.over.Store(true)
	}
	c.state = to
	return old
}

// sameIdentity reports whether an upstream is told the same of both.
func sameIdentity(a, b *authcore.Identity) bool {
	return a.Account == b.Account && a.Username == b.Username && a.DisplayName == b.DisplayName && a.Email == b.Email
}

// hangUp ends the connection of a state to the upstream.
func (c *conn) hangUp(s *state, code relay.CloseCode) {
	c.mu.Lock()
	l := s.leg
	s.leg = nil
	c.mu.Unlock()
	if l != nil {
		l.close(code)
	}
}

// release gives back what s holds.
func (s *state) release() {
	s.vacate()
	s.lease.Release()
}

// vacate stops the timer and gives back the seat.
func (s *state) vacate() {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.c.e.o.Counts.Done(s.seat)
}

// currentLeg returns the connection to the upstream, or nil if nobody is logged in.
func (c *conn) currentLeg() *leg {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.ended {
		return nil
	}
	return c.state.leg
}
