package authcore

import (
	"context"
	"fmt"
	"testing"
)

// SES-06: somebody else's session cannot be ended, even by its ID.
func TestSES06OwnSessionsOnly(t *testing.T) {
	h := newHouse(t)
	alice, bob := h.person(t, "alice"), h.person(t, "bob")
	var c conn
	h.hold(t, bob, &c, false)
	r := must[Receipt](t)(h.EndSession(t.Context(), operator, alice.Account.ID, bob.Session.ID))
	want(t, "ended", r.Sessions+r.Closed, 0)
	_, err := h.LogoutAll(t.Context(), operator, alice.Account.ID, bob.Session.ID)
	wantKind(t, "keeping another's", err, KindSessionOver)
	must[Identity](t)(h.auth(t, alice))
	r = must[Receipt](t)(h.LogoutAll(t.Context(), operator, alice.Account.ID, ""))
	want(t, "alice's sessions", r.Sessions, 1)
	want(t, "bob's connection", c.ended(), "session:0 token:0 shutdown:0")
	must[Identity](t)(h.auth(t, bob))
}

func TestLogout(t *testing.T) {
	h := newHouse(t)
	h.register(t, "alice")
	var grants [4]Grant
	var conns [4][2]conn
	for i := range grants {
		grants[i] = h.login(t, "alice")
		for k := range conns[i] {
			h.hold(t, grants[i], &conns[i][k], false)
		}
	}
	check := func(what string, alive ...bool) {
		t.Helper()
		for i, g := range grants {
			_, err := h.auth(t, g)
			if alive[i] && err != nil {
				t.Errorf("%s: session %d: %v", what, i, err)
			} else if !alive[i] {
				wantKind(t, fmt.Sprintf("%s: session %d", what, i), err, KindSessionOver)
			}
			for k := range conns[i] {
				expected := "session:1 token:0 shutdown:0"
				if alive[i] {
					expected = "session:0 token:0 shutdown:0"
				}
				want(t, fmt.Sprintf("%s: connection %d of %d", what, k, i), conns[i][k].ended(), expected)
			}
		}
	}
	check("at first", true, true, true, true)
	r := must[Receipt](t)(h.Logout(t.Context(), as(must[Identity](t)(h.auth(t, grants[0])))))
	want(t, "receipt", fmt.Sprint(r.Sessions, r.Closed), "1 2")
	check("logout", false, true, true, true)
	r = must[Receipt](t)(h.EndSession(t.Context(), operator, grants[0].Account.ID, grants[0].Session.ID))
	want(t, "receipt of the second logout", fmt.Sprint(r.Sessions, r.Closed), "0 0")
	check("logout again", false, true, true, true)
	r = must[Receipt](t)(h.LogoutAll(t.Context(), operator, grants[0].Account.ID, grants[2].Session.ID))
	want(t, "receipt", fmt.Sprint(r.Sessions, r.Closed), "2 4")
	check("logout of all others", false, false, true, false)
	r = must[Receipt](t)(h.Disable(t.Context(), operator, grants[0].Account.ID))
	want(t, "receipt", fmt.Sprint(r.Sessions, r.Closed), "1 2")
	check("disabled", false, false, false, false)
	for i := range conns {
		for k := range conns[i] {
			conns[i][k].lease.Release()
		}
	}
	want(t, "connections", h.state.live.Connections(), 0)
	_, err := h.Disable(t.Context(), operator, "nobody")
	wantKind(t, "disabling nobody", err, KindUnknownAccount)
}

// JWT-10: an account that is disabled behind our back is found out at the next look-up; a login that raced it gives
// nothing.
func TestJWT10Disabled(t *testing.T) {
	h := newHouse(t)
	g := h.person(t, "alice")
	if err := h.store.SetDisabled(t.Context(), g.Account.ID, true); err != nil {
		t.Fatal(err)
	}
	_, err := h.auth(t, g)
	wantKind(t, "a session of a disabled account", err, KindSessionOver)
	_, err = h.try(t, "alice", rightPassword)
	wantKind(t, "the right password", err, KindAccountDisabled)
	_, err = h.try(t, "alice", "wrong password")
	wantKind(t, "a wrong password", err, KindWrongPassword)
}

// JWT-12: among many tokens at once, each is its own user's.
func TestJWT12OwnUser(t *testing.T) {
	h := newHouse(t)
	const users = 40
	type user struct {
		g    Grant
		name string
	}
	var all []user
	for i := range users {
		name := fmt.Sprintf("user%d", i)
		if i%2 == 1 {
			name = all[i-1].name + "x" // a common prefix
		}
		g := h.person(t, name)
		all = append(all, user{g, name})
	}
	for range 5 {
		parallel(200, func(i int) {
			u := all[i%users]
			c := &conn{}
			id, err := h.holdToken(context.Background(), h.tok(u.g), c, &c.lease, i%3 == 0)
			if err != nil || id.Account != u.g.Account.ID || id.Session != u.g.Session.ID || string(id.Username) != u.name || id.Number != u.g.Account.Number {
				t.Errorf("%s got %+v, %v", u.name, id, err)
			}
			c.lease.Release()
		})
		for i := range h.state.live.shards { // forget, so that the next round looks everything up
			sh := &h.state.live.shards[i]
			sh.mu.Lock()
			clear(sh.sessions)
			sh.mu.Unlock()
		}
	}
}
