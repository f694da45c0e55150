package authcore

import (
	"testing"
	"time"
)

// A session that is told to be away is offline on every node until it has a new connection, and stays good.
func TestDisconnect(t *testing.T) {
	nodes(t, 3, func(t *testing.T, n []nodeHouse) {
		g := n[0].join(t, "alice")
		id := must[Identity](t)(n[0].auth(t, g))
		online := func(what string, expected bool) {
			t.Helper()
			passes(2 * time.Second)
			for i := range n {
				want(t, what, n[i].online(t, g.Account.ID), expected)
			}
		}
		online("before", false)
		var conns [3]conn
		n[0].hold(t, g, &conns[0], false)
		n[1].hold(t, g, &conns[1], false)
		online("with two connections", true)

		if err := n[2].Disconnect(t.Context(), as(id)); err != nil { // which holds none of them
			t.Fatal(err)
		}
		online("disconnected", false)
		passes(2 * presenceEvery)
		online("disconnected, after the whole was told again", false)
		listed := must[[]SessionInfo](t)(n[0].ListSessions(t.Context(), id))
		want(t, "sessions", len(listed), 1)
		want(t, "connections", listed[0].Connections, 0)
		for i := range n {
			must[Identity](t)(n[i].auth(t, g))
		}
		want(t, "connection", conns[0].ended()+conns[1].ended(), open+open)

		n[1].hold(t, g, &conns[2], false)
		online("with a new connection", true)
		conns[2].lease.Release()
		conns[1].lease.Release()
		online("without it", false)

		// It concerns one session.
		other := n[0].login(t, "alice")
		var c conn
		n[2].hold(t, other, &c, false)
		online("with another session", true)
		if err := n[0].Disconnect(t.Context(), as(id)); err != nil {
			t.Fatal(err)
		}
		online("with another session, still", true)
		if err := n[0].Disconnect(t.Context(), as(Identity{Account: "somebody", Session: other.Session.ID})); err != nil {
			t.Fatal(err)
		}
		online("what others say of it", true)

		// An end still reaches what is away.
		must[Receipt](t)(n[2].EndSession(t.Context(), operator, g.Account.ID, g.Session.ID))
		want(t, "connection", conns[0].ended(), over)

		n[0].feed.cutOff()
		wantKind(t, "cut off", n[0].Disconnect(t.Context(), as(must[Identity](t)(n[2].auth(t, other)))), KindUnavailable)
		n[0].feed.reconnect()
		conns[0].lease.Release()
		c.lease.Release()
	})
}

// Away is how one comes back, too: what counts here is who is held now.
func TestDisconnectHere(t *testing.T) {
	h := newHouse(t)
	g := h.person(t, "alice")
	id := must[Identity](t)(h.auth(t, g))
	var a, b conn
	h.hold(t, g, &a, false)
	want(t, "online", h.online(t, id.Account), true)
	if err := h.Disconnect(t.Context(), as(id)); err != nil {
		t.Fatal(err)
	}
	want(t, "online", h.online(t, id.Account), false)
	want(t, "connections", h.state.live.Connections(), 1)
	h.hold(t, g, &b, false)
	want(t, "online", h.online(t, id.Account), true)
	a.lease.Release()
	b.lease.Release()
	want(t, "online", h.online(t, id.Account), false)
}
