package authcore

import (
	"context"
	"maps"
	"testing"
	"time"
)

// A revocation that was recorded but cannot be told is an error, holds wherever the stores are asked, and is told later.
func TestRevocationNotTold(t *testing.T) {
	nodes(t, 3, func(t *testing.T, n []nodeHouse) {
		n[0].register(t, "alice")
		g := n[0].login(t, "alice")
		var here, there conn
		n[0].hold(t, g, &here, false)
		n[1].hold(t, g, &there, false)
		n[0].feed.cutOff()
		_, err := n[0].EndSession(t.Context(), operator, g.Account.ID, g.Session.ID)
		wantKind(t, "ending", err, KindUnavailable)
		want(t, "here", here.ended(), over)
		want(t, "there", there.ended(), open)
		_, err = n[0].auth(t, g)
		wantKind(t, "here", err, KindSessionOver)

		n[0].feed.reconnect()
		passes(2 * time.Second)
		want(t, "there", there.ended(), over)
		must[Receipt](t)(n[0].EndSession(t.Context(), operator, g.Account.ID, g.Session.ID))
		here.lease.Release()
		there.lease.Release()
	})
}

// A revocation whose node went down before it could tell is told by whoever finds it half done.
func TestRevocationHalfDone(t *testing.T) {
	nodes(t, 3, func(t *testing.T, n []nodeHouse) {
		n[0].register(t, "alice")
		g, other := n[0].login(t, "alice"), n[0].login(t, "alice")
		var c, d conn
		n[1].hold(t, g, &c, false)
		n[1].hold(t, other, &d, false)
		if err := n[0].state.options.Revocations.RevokeSession(t.Context(), g.Account.ID, g.Session.ID, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			_, err := n[2].auth(t, g)
			wantKind(t, "where the stores are asked", err, KindSessionOver)
		}
		want(t, "where it is known", c.ended(), open)
		n[2].state.mu.Lock()
		want(t, "revocations to be told", len(n[2].state.unheard), 1)
		n[2].state.mu.Unlock()
		passes(2 * time.Second)
		want(t, "where it is known", c.ended(), over)
		want(t, "another session", d.ended(), open)
		_, err := n[0].state.options.Sessions.Session(t.Context(), g.Account.ID, g.Session.ID)
		wantKind(t, "the session store", err, KindSessionOver)
		c.lease.Release()
		d.lease.Release()
	})
}

// What the session store does not forget at once is over all the same, and forgotten later. A login that came between
// lives on.
func TestSessionStoreForgetsLater(t *testing.T) {
	for _, op := range []string{"EndSession", "EndSessions"} {
		t.Run(op, func(t *testing.T) {
			nodes(t, 2, func(t *testing.T, n []nodeHouse) {
				a := n[0].register(t, "alice")
				g := n[0].login(t, "alice")
				var c conn
				n[1].hold(t, g, &c, false)
				n[0].store.onCall(func(_ context.Context, o string) error {
					if o == op {
						return errStore
					}
					return nil
				})
				if op == "EndSession" {
					must[Receipt](t)(n[0].EndSession(t.Context(), operator, a.ID, g.Session.ID))
				} else {
					must[Receipt](t)(n[0].LogoutAll(t.Context(), operator, a.ID, ""))
				}
				want(t, "the connection", c.ended(), over)
				later := n[1].login(t, "alice")
				passes(2 * time.Second)
				want(t, "sessions in the store", len(n[0].store.sessions), 2)
				n[0].store.onCall(nil)
				passes(2 * time.Second)
				want(t, "sessions in the store", len(n[0].store.sessions), 1)
				_, err := n[1].auth(t, g)
				wantKind(t, "the session", err, KindSessionOver)
				must[Identity](t)(n[0].auth(t, later))
				c.lease.Release()
			})
		})
	}
}

// A revocation that could not even be recorded changes nothing.
func TestRevocationNotRecorded(t *testing.T) {
	h := newHouse(t)
	g := h.person(t, "alice")
	var c conn
	h.hold(t, g, &c, false)
	for _, op := range []string{"RevokeSession", "RevokeSessions"} {
		h.store.onCall(func(_ context.Context, o string) error {
			if o == op {
				return errStore
			}
			return nil
		})
		var err error
		if op == "RevokeSession" {
			_, err = h.EndSession(t.Context(), operator, g.Account.ID, g.Session.ID)
		} else {
			_, err = h.LogoutAll(t.Context(), operator, g.Account.ID, "")
		}
		wantKind(t, op, err, KindUnavailable)
		want(t, "the connection", c.ended(), open)
		must[Identity](t)(h.auth(t, g))
	}
	c.lease.Release()
}

// A session store that went back to an older state does not bring back what was revoked.
func TestSessionStoreWentBack(t *testing.T) {
	h := newHouse(t)
	h.register(t, "alice")
	one, all := h.login(t, "alice"), h.login(t, "alice")
	snapshot := maps.Clone(h.store.sessions)
	must[Receipt](t)(h.EndSession(t.Context(), operator, one.Account.ID, one.Session.ID))
	h.store.sessions = maps.Clone(snapshot)
	_, err := h.auth(t, one)
	wantKind(t, "one session", err, KindSessionOver)
	listed := must[[]SessionInfo](t)(h.ListSessions(t.Context(), must[Identity](t)(h.auth(t, all))))
	want(t, "listed", len(listed), 1)

	must[Receipt](t)(h.LogoutAll(t.Context(), operator, one.Account.ID, ""))
	h.store.sessions = maps.Clone(snapshot)
	_, err = h.auth(t, all)
	wantKind(t, "all sessions", err, KindSessionOver)
}
