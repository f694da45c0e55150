package authcore

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const (
	open = "session:0 token:0 shutdown:0"
	over = "session:1 token:0 shutdown:0"
)

func TestNodes(t *testing.T) {
	nodes(t, 3, func(t *testing.T, n []nodeHouse) {
		n[0].register(t, "alice")
		phone, laptop := n[0].login(t, "alice"), n[1].login(t, "alice")
		var phones, laptops [3]conn
		for i := range n {
			n[i].hold(t, phone, &phones[i], false)
			n[i].hold(t, laptop, &laptops[i], false)
		}
		r := must[Receipt](t)(n[0].EndSession(t.Context(), operator, phone.Account.ID, phone.Session.ID))
		want(t, "closed", r.Closed, 3)
		want(t, "ended", r.Sessions, 1)
		want(t, "nodes", fmt.Sprint(r.Nodes), "[{1 true 1 0s} {2 true 1 0s}]")
		want(t, "complete", r.Complete(), true)
		for i := range n {
			want(t, "phone", phones[i].ended(), over)
			want(t, "laptop", laptops[i].ended(), open)
			_, err := n[i].auth(t, phone)
			wantKind(t, "phone", err, KindSessionOver)
			must[Identity](t)(n[i].auth(t, laptop))
		}

		n[2].feed.set(func() { n[2].feed.mute = true })
		r = must[Receipt](t)(n[1].LogoutAll(t.Context(), operator, phone.Account.ID, ""))
		want(t, "complete", r.Complete(), false)
		want(t, "closed", r.Closed, 2)
		for i := range n {
			phones[i].lease.Release()
			laptops[i].lease.Release()
		}
	})
}

// An end that arrives late ends nothing that was begun after it.
func TestNodesLateEvent(t *testing.T) {
	nodes(t, 2, func(t *testing.T, n []nodeHouse) {
		a := n[0].register(t, "alice")
		old := n[0].login(t, "alice")
		must[Identity](t)(n[1].auth(t, old))
		n[1].feed.cutOff()
		must[Receipt](t)(n[0].LogoutAll(t.Context(), operator, a.ID, ""))
		fresh := n[0].login(t, "alice")
		var c, kept conn
		n[1].hold(t, fresh, &c, false)
		n[1].hold(t, fresh, &kept, false)
		want(t, "connections that a late event ends", n[1].state.apply(NodeEvent{Account: a.ID, Epoch: 1}), 0)
		_, err := n[1].auth(t, old)
		wantKind(t, "the old session", err, KindSessionOver)
		want(t, "connections of the next epoch", n[1].state.apply(NodeEvent{Account: a.ID, Epoch: 2, Kept: fresh.Session.ID}), 0)
		want(t, "connections of the next epoch", n[1].state.apply(NodeEvent{Account: a.ID, Epoch: 2}), 2)
		c.lease.Release()
		kept.lease.Release()
	})
}

// A look-up that was under way when an epoch ended is made again.
func TestEpochEndsWhileLookingUp(t *testing.T) {
	h := newHouse(t)
	g := h.person(t, "alice")
	first := true
	h.store.onCall(func(_ context.Context, op string) error {
		if op == "SessionAccount" && first {
			first = false
			h.state.apply(NodeEvent{Account: g.Account.ID, Epoch: 5}) // what it was read before, or after, nobody knows
		}
		return nil
	})
	must[Identity](t)(h.auth(t, g))
	want(t, "look-ups", h.store.count("Session"), 2)
}

// A login that was proven before all sessions were ended does not outlive that, however late it gets its session.
func TestLoginAcrossLogoutAll(t *testing.T) {
	h := newHouse(t)
	before := h.register(t, "alice")
	must[Receipt](t)(h.LogoutAll(t.Context(), operator, before.ID, ""))
	late := must[Grant](t)(h.startSession(t.Context(), before, client, 0))
	_, err := h.auth(t, late)
	wantKind(t, "the late session", err, KindSessionOver)
	must[Identity](t)(h.auth(t, h.login(t, "alice")))
}

// Two devices that end all others at the same time do not both stay.
func TestEndOthersAtOnce(t *testing.T) {
	h := newHouse(t)
	h.register(t, "alice")
	for range 50 {
		a, b := h.login(t, "alice"), h.login(t, "alice")
		ids := [2]Identity{must[Identity](t)(h.auth(t, a)), must[Identity](t)(h.auth(t, b))}
		parallel(2, func(i int) { _, _ = h.LogoutAll(context.Background(), operator, ids[i].Account, ids[i].Session) })
		_, err1 := h.auth(t, a)
		_, err2 := h.auth(t, b)
		if err1 == nil && err2 == nil {
			t.Fatal("both live")
		}
	}
}

// A node that hears nothing believes what it knows for the grace, then asks each time; connections stay longer.
func TestFeedBroken(t *testing.T) {
	nodes(t, 2, func(t *testing.T, n []nodeHouse) {
		n[0].register(t, "alice")
		g, other := n[0].login(t, "alice"), n[0].login(t, "alice")
		var c conn
		n[1].hold(t, g, &c, false)
		must[Identity](t)(n[1].auth(t, other))
		n[1].feed.cutOff()
		passes(time.Second)
		r := must[Receipt](t)(n[0].EndSession(t.Context(), operator, g.Account.ID, g.Session.ID))
		want(t, "complete", r.Complete(), false)
		passes(2500 * time.Millisecond)
		want(t, "broken", n[1].state.Stats().FeedBroken, true)
		want(t, "the connection", c.ended(), open)

		calls := n[1].store.count("Session")
		for range 3 {
			must[Identity](t)(n[1].auth(t, other))
		}
		want(t, "look-ups of three proofs", n[1].store.count("Session")-calls, 3)
		_, err := n[1].auth(t, g)
		wantKind(t, "what was ended meanwhile", err, KindSessionOver)
		want(t, "the connection, now that somebody asked", c.ended(), over)
		c.lease.Release()

		// With the stores away as well, nothing can be proven, and what hangs on a session stays for a while.
		var d conn
		n[1].hold(t, other, &d, false)
		n[1].store.onCall(func(context.Context, string) error { return errStore })
		_, err = n[1].auth(t, other)
		wantKind(t, "with nobody to ask", err, KindUnavailable)
		passes(50 * time.Second)
		want(t, "the connection", d.ended(), open)
		passes(15 * time.Second)
		if got := d.ended(); !strings.HasPrefix(got, "session:0 token:0") || got == open {
			t.Errorf("the connection, when it was too long: %s", got)
		}
		d.lease.Release()
		n[1].store.onCall(nil)
		n[1].feed.reconnect()
		passes(time.Second)
		want(t, "broken", n[1].state.Stats().FeedBroken, false)
		must[Identity](t)(n[1].auth(t, other))
	})
}

// After a break, what hangs on sessions that ended meanwhile is closed without anybody asking, and the rest stays.
func TestRecheck(t *testing.T) {
	nodes(t, 2, func(t *testing.T, n []nodeHouse) {
		n[0].register(t, "alice")
		var grants [40]Grant
		var conns [40]conn
		for i := range grants {
			grants[i] = n[0].login(t, "alice")
			n[1].hold(t, grants[i], &conns[i], false)
		}
		n[1].feed.cutOff()
		for _, g := range grants[:20] {
			must[Receipt](t)(n[0].EndSession(t.Context(), operator, g.Account.ID, g.Session.ID))
		}
		var broken atomic.Bool
		broken.Store(true)
		n[1].store.onCall(func(_ context.Context, op string) error {
			if broken.Load() && op == "Session" {
				return errStore
			}
			return nil
		})
		n[1].feed.reconnect()
		passes(3 * time.Second)
		for i := range conns {
			want(t, "while the store is away", conns[i].ended(), open)
		}
		broken.Store(false)
		passes(3 * time.Second)
		for i := range conns {
			expected := over
			if i >= 20 {
				expected = open
			}
			want(t, fmt.Sprint("connection ", i), conns[i].ended(), expected)
			conns[i].lease.Release()
		}
		calls := n[1].store.count("Session")
		must[Identity](t)(n[1].auth(t, grants[30]))
		want(t, "look-ups of what was looked up again", n[1].store.count("Session")-calls, 0)
	})
}

// Nothing that was looked up before a break is held after it without being looked up again.
func TestHoldAcrossReset(t *testing.T) {
	nodes(t, 1, func(t *testing.T, n []nodeHouse) {
		g := n[0].person(t, "alice")
		account, id := g.Account.ID, g.Session.ID
		e, _, err := n[0].alive(t.Context(), account, id, 1, n[0].state.load(account, id))
		if err != nil {
			t.Fatal(err)
		}
		follower{n[0].state}.Reset()
		var c conn
		want(t, "held", n[0].state.live.attach(e, &c, &c.lease, 0), false)
		n[0].hold(t, g, &c, false)
		c.lease.Release()
	})
}

// What is known is looked up again after some minutes, in case an end was not heard.
func TestKnownFor(t *testing.T) {
	nodes(t, 1, func(t *testing.T, n []nodeHouse) {
		g := n[0].person(t, "alice")
		must[Identity](t)(n[0].auth(t, g))
		calls := n[0].store.count("Session")
		passes(knownFor - time.Second)
		must[Identity](t)(n[0].auth(t, g))
		want(t, "look-ups before", n[0].store.count("Session")-calls, 0)
		n[0].store.mu.Lock()
		delete(n[0].store.sessions, placeOf(g.Session))
		n[0].store.mu.Unlock()
		passes(time.Second)
		_, err := n[0].auth(t, g)
		wantKind(t, "after", err, KindSessionOver)
	})
}

// A key that another node made is known at once.
func TestNodesKeys(t *testing.T) {
	nodes(t, 2, func(t *testing.T, n []nodeHouse) {
		n[0].register(t, "alice")
		must[Identity](t)(n[1].auth(t, n[0].login(t, "alice"))) // and so B's keys were read a moment ago
		n[0].state.SetKeyRotation(time.Nanosecond)
		passes(time.Millisecond)
		made, err := n[0].state.keyring.refresh(t.Context(), n[0].state.options.MaxTokens)
		if err != nil || !made {
			t.Fatal(made, err)
		}
		n[0].state.publishKeys(t.Context())
		n[0].state.SetKeyRotation(time.Hour)
		must[Identity](t)(n[1].auth(t, n[0].login(t, "alice")))
	})
}
