package authcore

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestLeases(t *testing.T) {
	h := newHouse(t)
	g := h.person(t, "alice")
	var none Lease
	none.Release()
	conns := make([]conn, 5)
	for i := range conns {
		h.hold(t, g, &conns[i], false)
	}
	for _, i := range []int{2, 2, 0, 4, 0, 1, 2} { // from the middle and both ends, some twice
		conns[i].lease.Release()
	}
	want(t, "connections", h.state.live.Connections(), 1)
	h.hold(t, g, &conns[2], false) // again
	parallel(8, func(int) { conns[2].lease.Release() })
	want(t, "connections", h.state.live.Connections(), 1)
	want(t, "closed", must[Receipt](t)(h.Logout(t.Context(), as(Identity{Account: g.Account.ID, Session: g.Session.ID}))).Closed, 1)
	want(t, "the one that was left", conns[3].ended(), "session:1 token:0 shutdown:0")
	want(t, "one that was released", conns[2].ended(), "session:0 token:0 shutdown:0")
	conns[3].lease.Release()
	conns[3].lease.Release()
	want(t, "connections", h.state.live.Connections(), 0)
}

// Room is made by dropping sessions that nothing hangs on and whose uses are stored, and no others.
func TestEviction(t *testing.T) {
	l := newLive(newClock().Now)
	expires := time.Now().Add(time.Hour)
	target := l.shard("a")
	next := 0
	id := func() SessionID {
		next++
		return SessionID(fmt.Sprint(next))
	}
	look := func(id SessionID) *liveSession {
		e, _, err := l.lookup(context.Background(), "a", id, func(context.Context) (Session, Account, error) {
			return Session{ID: id, Account: "a", ExpiresAt: expires, LastSeenAt: time.UnixMilli(1)}, Account{ID: "a"}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	conns := make([]conn, 100)
	held := make(map[SessionID]*liveSession)
	for i := range conns {
		id := id()
		held[id] = look(id)
		if !l.attach(held[id], &conns[i], &conns[i].lease, 0) {
			t.Fatal("not held")
		}
	}
	used := make(map[SessionID]*liveSession)
	for range 100 {
		id := id()
		used[id] = look(id)
		used[id].lastSeen.Store(2)
	}
	for range 2 * sessionsPerShard {
		look(id())
	}
	if n := len(target.sessions); n > sessionsPerShard+10 || n < sessionsPerShard-10 {
		t.Errorf("%d sessions are kept, want about %d", n, sessionsPerShard)
	}
	for what, m := range map[string]map[SessionID]*liveSession{"connection": held, "use that is not stored": used} {
		for id, e := range m {
			if target.sessions[id] != e {
				t.Fatalf("a session with a %s was dropped", what)
			}
		}
	}
	for i := range conns {
		conns[i].lease.Release()
	}
}

// A session that is dropped between its proof and its registration is proven again; only if that goes on is the caller
// asked to come back.
func TestHoldEvicted(t *testing.T) {
	h := newHouse(t)
	g := h.person(t, "alice")
	var drop atomic.Int32
	now := h.state.options.Now
	h.state.options.Now = func() time.Time {
		if drop.Add(-1) >= 0 {
			h.state.live.forget()
		}
		return now()
	}
	var c conn
	drop.Store(1)
	h.hold(t, g, &c, false)
	want(t, "closed", must[Receipt](t)(h.EndSession(t.Context(), operator, g.Account.ID, g.Session.ID)).Closed, 1)
	c.lease.Release()

	g = h.login(t, "alice")
	drop.Store(100)
	_, err := h.holdToken(t.Context(), h.tok(g), &c, &c.lease, false)
	wantKind(t, "dropped each time", err, KindUnavailable)
}

// A connection is a use: its session does not idle out, and the store learns of it.
func TestIdle(t *testing.T) {
	h := newHouse(t, func(_ *StateOptions, p *Policy) { p.SessionIdle, p.SessionMax = time.Hour, 10*time.Hour })
	h.register(t, "alice")
	quiet, busy, connected := h.login(t, "alice"), h.login(t, "alice"), h.login(t, "alice")
	var c conn
	h.hold(t, connected, &c, false)
	must[Identity](t)(h.auth(t, quiet))
	for range 7 {
		h.clock.Advance(30 * time.Minute)
		must[Identity](t)(h.auth(t, busy))
		h.state.flush(t.Context())
		must[int](t)(h.store.DeleteExpired(t.Context(), h.clock.Now()))
	}
	_, err := h.auth(t, quiet)
	wantKind(t, "unused for hours", err, KindSessionOver)
	must[Identity](t)(h.auth(t, busy))
	must[Identity](t)(h.auth(t, connected))

	// After a restart too.
	h = newHouseOn(t, h.store, h.clock, func(_ *StateOptions, p *Policy) { p.SessionIdle, p.SessionMax = time.Hour, 10*time.Hour })
	must[Identity](t)(h.auth(t, busy))
	must[Identity](t)(h.auth(t, connected))
	h.clock.Advance(time.Hour - 1)
	must[Identity](t)(h.auth(t, busy))
	h.clock.Advance(1)
	_, err = h.auth(t, connected)
	wantKind(t, "idle to the nanosecond", err, KindSessionOver)

	// The absolute end comes nonetheless.
	for range 20 {
		h.clock.Advance(30 * time.Minute)
		_, err = h.auth(t, busy)
	}
	wantKind(t, "after its absolute end", err, KindBadToken, KindSessionOver)
}

// The absolute end of a session ends its connections, and a token's end those that are bound to it.
func TestExpiryEndsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, func(o *StateOptions, p *Policy) {
			o.Now = time.Now
			o.Limits, _ = NewMemoryLimits(time.Now)
			p.SessionIdle, p.SessionMax = time.Hour, 2*time.Hour
		})
		g := h.person(t, "alice")
		a := g.Account
		s := must[Session](t)(h.store.Session(t.Context(), a.ID, g.Session.ID))
		token, expires, err := h.tokens.issue(&a, &s, 10*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		var free, bound, released, over conn
		for c, till := range map[*conn]bool{&free: false, &bound: true, &released: true} {
			id, err := h.holdToken(t.Context(), UnverifiedToken(token), c, &c.lease, till)
			if err != nil || !id.Expires.Equal(expires) {
				t.Fatal(id, err)
			}
		}
		released.lease.Release()
		time.Sleep(time.Until(expires) - 1)
		synctest.Wait()
		want(t, "before the token's end", bound.ended(), "session:0 token:0 shutdown:0")
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		want(t, "at the token's end", bound.ended(), "session:0 token:1 shutdown:0")
		want(t, "what is not bound to it", free.ended(), "session:0 token:0 shutdown:0")
		_, err = h.holdToken(t.Context(), UnverifiedToken(token), &over, &over.lease, true)
		wantKind(t, "the expired token", err, KindBadToken)

		time.Sleep(time.Until(s.ExpiresAt) - 1)
		synctest.Wait()
		want(t, "before the session's end", free.ended(), "session:0 token:0 shutdown:0")
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		want(t, "at the session's end", free.ended(), "session:1 token:0 shutdown:0")
		want(t, "the other, at the session's end", bound.ended(), "session:1 token:1 shutdown:0")
		want(t, "what was released", released.ended(), "session:0 token:0 shutdown:0")
		free.lease.Release()
		bound.lease.Release()
		want(t, "connections", h.state.live.Connections(), 0)
	})
}
