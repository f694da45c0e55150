package authcore

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// claimsOf reads what a token says, without proving it.
func claimsOf(t testing.TB, g Grant) (c claims) {
	t.Helper()
	raw := must[[]byte](t)(b64.DecodeString(strings.Split(string(g.Token), ".")[1]))
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func (h *house) refresh(g Grant, lifetime time.Duration) (Grant, error) {
	return h.Refresh(context.Background(), Refreshing{Token: h.tok(g), TokenLifetime: lifetime, Client: client})
}

// steal refreshes as somebody else does.
func (h *house) steal(g Grant) (Grant, error) {
	return h.Refresh(context.Background(), Refreshing{Token: h.tok(g), Client: thief})
}

// join makes an account with an address, and its first session.
func (h *house) join(t testing.TB, name string) Grant {
	t.Helper()
	g := must[Grant](t)(h.Join(t.Context(), Registration{
		ClaimedName: name, Password: NewPassword(rightPassword), ClaimedEmail: name + "@example.com", Client: client,
	}))
	h.confirmOwn(t, g)
	return g
}

const toldOfTheft = "token-theft to alice@example.com;"

func TestRefresh(t *testing.T) {
	h := newHouse(t)
	first := h.join(t, "alice")
	h.clock.Advance(time.Minute)
	second := must[Grant](t)(h.refresh(first, time.Hour))
	want(t, "session", second.Session.ID, first.Session.ID)
	want(t, "account", second.Account.ID, first.Account.ID)
	want(t, "generations", fmt.Sprint(first.Session.Generation, second.Session.Generation), "1 2")
	want(t, "expires", second.Expires, h.clock.Now().Add(time.Hour))
	want(t, "hash that comes along", string(second.Account.PasswordHash), "")
	a, b := claimsOf(t, first), claimsOf(t, second)
	want(t, "issued", b.IssuedAt, h.clock.Now().Unix())
	want(t, "generation", b.Generation, 2)
	if a.ID == b.ID || b.ID == "" {
		t.Errorf("jti %q after %q", b.ID, a.ID)
	}
	for _, g := range []Grant{first, second} { // a lost answer is no theft
		want(t, "session", must[Identity](t)(h.auth(t, g)).Session, first.Session.ID)
	}

	// The predecessor's refresh gives another token of the newest generation, however often.
	for range 3 {
		again := must[Grant](t)(h.refresh(first, time.Hour))
		want(t, "generation", claimsOf(t, again).Generation, 2)
		if again.Token == second.Token {
			t.Error("the same token twice")
		}
		must[Identity](t)(h.auth(t, again))
	}
	third := must[Grant](t)(h.refresh(second, 0))
	want(t, "expires with its session", third.Expires, first.Session.ExpiresAt)
	for _, g := range []Grant{first, second, third} { // for use, a token is good until it expires
		must[Identity](t)(h.auth(t, g))
	}
	want(t, "look-ups", h.store.count("Session"), 1)
	want(t, "notices", h.mail.told(), "")
}

// An expired token is good for a refresh while its session lives, and not for anything else.
func TestRefreshExpired(t *testing.T) {
	h := newHouse(t)
	h.clock.Advance(700 * time.Millisecond) // tokens know whole seconds
	h.join(t, "alice")
	login := func() Grant {
		return must[Grant](t)(h.Login(t.Context(), Credentials{ClaimedName: "alice", Password: NewPassword(rightPassword), TokenLifetime: time.Hour, Client: client}))
	}
	g := login()
	want(t, "expires", g.Expires, h.clock.Now().Add(time.Hour).Truncate(time.Second))
	h.clock.Advance(10 * 24 * time.Hour)
	_, err := h.auth(t, g)
	wantKind(t, "expired", err, KindBadToken)
	fresh := must[Grant](t)(h.refresh(g, time.Hour))
	must[Identity](t)(h.auth(t, fresh))
	_, err = h.auth(t, g)
	wantKind(t, "still expired", err, KindBadToken)

	h.clock.Advance(13 * 24 * time.Hour) // which the refresh counts as a use before
	fresh = must[Grant](t)(h.refresh(fresh, 0))
	end := g.Session.ExpiresAt.Truncate(time.Second)
	want(t, "the absolute end", fresh.Expires, end)
	h.clock.Advance(7*24*time.Hour - 1500*time.Millisecond)
	last := must[Grant](t)(h.refresh(fresh, time.Hour))
	want(t, "expires within its session", last.Expires, end)
	must[Identity](t)(h.auth(t, last))
	h.clock.Advance(time.Second) // a token would be expired as it is issued
	_, err = h.refresh(last, time.Hour)
	wantKind(t, "half a second before the end", err, KindSessionOver)
	h.clock.Advance(time.Second)
	_, err = h.refresh(last, time.Hour)
	wantKind(t, "after the end", err, KindSessionOver)

	g = login()
	h.clock.Advance(14*24*time.Hour - 1)
	g = must[Grant](t)(h.refresh(g, time.Hour))
	h.clock.Advance(14 * 24 * time.Hour)
	_, err = h.refresh(g, time.Hour)
	wantKind(t, "idle for too long", err, KindSessionOver)
	h.state.live.forget()
	_, err = h.refresh(g, time.Hour)
	wantKind(t, "idle for too long, as the store says", err, KindSessionOver)
}

func TestRefreshRefused(t *testing.T) {
	h := newHouse(t)
	a, bob := h.join(t, "alice"), h.join(t, "bob")
	for what, token := range map[string]UnverifiedToken{"empty": "", "altered": h.tok(a) + "x", "no token": "a.b.c"} {
		_, err := h.Refresh(t.Context(), Refreshing{Token: token, Client: client})
		wantKind(t, what, err, KindBadToken)
	}
	rotations := h.store.count("RotateSession")
	out, gone := h.login(t, "alice"), h.login(t, "alice")
	must[Receipt](t)(h.EndSession(t.Context(), operator, out.Account.ID, out.Session.ID))
	_, err := h.refresh(out, 0)
	wantKind(t, "logged out", err, KindSessionOver)
	must[Receipt](t)(h.LogoutAll(t.Context(), operator, out.Account.ID, a.Session.ID))
	_, err = h.refresh(gone, 0)
	wantKind(t, "logged out with all", err, KindSessionOver)
	a = must[Grant](t)(h.refresh(a, 0))
	must[Receipt](t)(h.Disable(t.Context(), operator, a.Account.ID))
	_, err = h.refresh(a, 0)
	wantKind(t, "disabled", err, KindSessionOver)
	h.state.live.forget()
	_, err = h.refresh(a, 0)
	wantKind(t, "disabled, as the store says", err, KindSessionOver)
	want(t, "rotations", h.store.count("RotateSession")-rotations, 1)

	for _, op := range []string{"Session", "SessionAccount", "RotateSession"} {
		h.state.live.forget()
		h.store.onCall(func(_ context.Context, o string) error {
			if o == op {
				return errStore
			}
			return nil
		})
		g, err := h.refresh(bob, 0)
		wantKind(t, op+" fails", err, KindUnavailable)
		want(t, op+" fails: token", string(g.Token), "")
	}
	h.store.onCall(nil)
	must[Grant](t)(h.refresh(bob, 0))
	want(t, "notices", h.mail.told(), "")
}

// SES-01: of many refreshes of one token at once, on two nodes, all get good tokens of one generation.
func TestSES01RefreshAtOnce(t *testing.T) {
	nodes(t, 2, func(t *testing.T, n []nodeHouse) {
		g := n[0].join(t, "alice")
		for generation := int64(2); generation < 12; generation++ {
			var fresh [16]Grant
			parallel(16, func(i int) {
				var err error
				if fresh[i], err = n[i%2].refresh(g, time.Hour); err != nil {
					t.Error(err)
				}
			})
			ids := make(map[string]bool)
			for i := range fresh {
				c := claimsOf(t, fresh[i])
				want(t, "generation", c.Generation, generation)
				ids[c.ID] = true
				must[Identity](t)(n[i%2].auth(t, fresh[i]))
				must[Identity](t)(n[(i+1)%2].auth(t, fresh[i]))
			}
			want(t, "tokens", len(ids), 16)
			g = fresh[generation]
		}
		want(t, "notices", n[0].mail.told()+n[1].mail.told(), "")
		must[Receipt](t)(n[0].EndSession(t.Context(), operator, g.Account.ID, g.Session.ID))
		for i := range n { // no orphan
			_, err := n[i].auth(t, g)
			wantKind(t, "after its end", err, KindSessionOver)
			_, err = n[i].refresh(g, 0)
			wantKind(t, "after its end", err, KindSessionOver)
		}
	})
}

// SES-02: a token older than its predecessor ends the session on every node where a thief brings it, and its owner hears of
// it once.
func TestSES02Theft(t *testing.T) {
	for what, at := range map[string][]int{"where less is known": {0}, "where more is known": {1}, "everywhere": {0, 1}} {
		t.Run(what, func(t *testing.T) { testTheft(t, at) })
	}
}

func testTheft(t *testing.T, at []int) {
	nodes(t, 2, func(t *testing.T, n []nodeHouse) {
		first := n[0].join(t, "alice")
		other := n[1].login(t, "alice")
		second := must[Grant](t)(n[0].refresh(first, 0))
		third := must[Grant](t)(n[1].refresh(second, 0))
		var conns [3]conn
		n[0].hold(t, second, &conns[0], false)
		n[1].hold(t, third, &conns[1], false)
		n[1].hold(t, other, &conns[2], false)
		n[0].store.onCall(func(_ context.Context, op string) error {
			if op == "RevokeSession" { // all are found before one is ended
				time.Sleep(time.Millisecond)
			}
			return nil
		})
		passes(supersededGrace)
		parallel(8, func(i int) {
			_, err := n[at[i%len(at)]].steal(first)
			wantKind(t, "the first token again", err, KindSessionOver)
		})
		for i := range n {
			want(t, "connection", conns[i].ended(), over)
			for what, g := range map[string]Grant{"second": second, "third": third} {
				_, err := n[i].auth(t, g)
				wantKind(t, what, err, KindSessionOver)
				_, err = n[i].refresh(g, 0)
				wantKind(t, what, err, KindSessionOver)
			}
		}
		want(t, "another session", conns[2].ended(), open)
		must[Grant](t)(n[0].refresh(other, 0))
		n[0].idle()
		n[1].idle()
		want(t, "notices", n[0].mail.told()+n[1].mail.told(), toldOfTheft)
		for i := range conns {
			conns[i].lease.Release()
		}
	})
}

// A theft is not forgiven because a store, or the other nodes, cannot be told of it at once.
func TestTheftWhileStoresFail(t *testing.T) {
	for _, op := range []string{"RevokeSession", "EndSession", "feed"} {
		t.Run(op, func(t *testing.T) {
			nodes(t, 2, func(t *testing.T, n []nodeHouse) {
				first := n[0].join(t, "alice")
				newest := must[Grant](t)(n[0].refresh(must[Grant](t)(n[0].refresh(first, 0)), 0))
				var here, there conn
				n[0].hold(t, newest, &here, false)
				n[1].hold(t, newest, &there, false)
				passes(supersededGrace)
				n[0].store.onCall(func(_ context.Context, o string) error {
					if o == op {
						return errStore
					}
					return nil
				})
				if op == "feed" {
					n[0].feed.cutOff()
				}
				_, err := n[0].steal(first)
				wantKind(t, "the first token again", err, KindSessionOver, KindUnavailable)
				want(t, "here", here.ended(), over)
				n[0].idle()
				want(t, "notices", n[0].mail.told(), toldOfTheft)
				n[0].store.onCall(nil)
				if op == "feed" {
					n[0].feed.reconnect()
				}
				passes(3 * time.Second)
				want(t, "there", there.ended(), over)
				for i := range n {
					_, err = n[i].auth(t, newest)
					wantKind(t, "the newest token", err, KindSessionOver)
				}
				here.lease.Release()
				there.lease.Release()
			})
		})
	}
}

// SES-03: a refresh that races the end of its session never revives it.
func TestSES03RefreshRacesLogout(t *testing.T) {
	h := newHouse(t)
	a := h.register(t, "alice")
	var lost, won atomic.Int32
	// On a busy machine it takes more rounds until some refresh has won, and some has lost.
	for round := 0; round < 600 || round < 60_000 && (won.Load() == 0 || lost.Load() == 0); round++ {
		g := h.session(t, a)
		if round%2 == 0 {
			must[Identity](t)(h.auth(t, g))
		}
		var fresh [3]Grant
		parallel(4, func(i int) {
			switch {
			case i < 3:
				var err error
				if fresh[i], err = h.refresh(g, 0); err != nil {
					wantKind(t, "refresh", err, KindSessionOver)
					lost.Add(1)
				} else {
					won.Add(1)
				}
			case round%3 == 0:
				must[Receipt](t)(h.LogoutAll(context.Background(), operator, a.ID, ""))
			default:
				must[Receipt](t)(h.EndSession(context.Background(), operator, a.ID, g.Session.ID))
			}
		})
		for _, f := range append(fresh[:], g) {
			if f.Token == "" {
				continue
			}
			if _, err := h.auth(t, f); KindOf(err) != KindSessionOver {
				t.Fatalf("after its end: %v", err)
			}
			if _, err := h.refresh(f, 0); KindOf(err) != KindSessionOver {
				t.Fatalf("a refresh after its end: %v", err)
			}
		}
	}
	if won.Load() == 0 || lost.Load() == 0 {
		t.Errorf("no race: %d refreshes won, %d lost", won.Load(), lost.Load())
	}
}

// A session store that went back to an older state, in which an old token would be the newest, does not make it good.
func TestRefreshAfterStoreWentBack(t *testing.T) {
	nodes(t, 2, func(t *testing.T, n []nodeHouse) {
		first := n[0].join(t, "alice")
		backTo := func(generation int64) {
			n[0].store.mu.Lock()
			defer n[0].store.mu.Unlock()
			s := n[0].store.sessions[placeOf(first.Session)]
			s.Generation = generation
			n[0].store.sessions[placeOf(s)] = s
		}
		g := first
		for range 4 {
			g = must[Grant](t)(n[0].refresh(g, 0))
		}
		want(t, "generation", g.Session.Generation, 5)
		backTo(1)
		n[1].state.live.forget()
		for range 3 {
			must[Identity](t)(n[1].auth(t, g)) // which knows no better than the store
		}
		calls := n[1].store.count("Session")
		must[Identity](t)(n[1].auth(t, g))
		want(t, "look-ups of a token that is newer than the store", n[1].store.count("Session")-calls, 0)
		n[0].state.live.stale(g.Account.ID)
		g = must[Grant](t)(n[0].refresh(g, 0))
		want(t, "generation", g.Session.Generation, 6)
		backTo(2)
		_, err := n[1].refresh(first, 0)
		wantKind(t, "the first token again, though the store would take it", err, KindBadToken)
		_, err = n[1].steal(first)
		wantKind(t, "the first token again, from elsewhere", err, KindSessionOver)
		n[1].idle()
		want(t, "notices", n[1].mail.told(), toldOfTheft)
		_, err = n[0].auth(t, g)
		wantKind(t, "the newest token", err, KindSessionOver)
	})
}

// A look-up that read the store before a rotation, and answers after it, does not take it back.
func TestLookupAcrossRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		first := h.join(t, "alice")
		second := must[Grant](t)(h.refresh(first, 0))
		h.state.live.stale(first.Account.ID)
		read, rotated := make(chan struct{}), make(chan struct{})
		var once atomic.Bool
		h.store.onCall(func(_ context.Context, op string) error {
			if op == "SessionAccount" && once.CompareAndSwap(false, true) { // the session was read
				close(read)
				<-rotated
			}
			return nil
		})
		done := make(chan struct{})
		go func() {
			defer close(done)
			must[Identity](t)(h.auth(t, second))
		}()
		<-read
		e := h.state.live.shard(first.Account.ID).sessions[first.Session.ID]
		sess, err := h.store.RotateSession(t.Context(), first.Account.ID, first.Session.ID, 2, Rotation{At: h.clock.Now()})
		if err != nil {
			t.Fatal(err)
		}
		h.state.live.rotated(e, sess.Generation)
		close(rotated)
		<-done
		want(t, "what is known", e.known.Load().session.Generation, 3)
	})
}
