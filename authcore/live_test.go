package authcore

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func (h *house) tok(g Grant) UnverifiedToken { return UnverifiedToken(g.Token) }

// session begins one without the price of a password.
func (h *house) session(t testing.TB, a Account) Grant {
	t.Helper()
	now := must[Account](t)(h.state.Accounts.AccountByID(context.Background(), a.ID)) // its epoch may be another
	return must[Grant](t)(h.startSession(context.Background(), now, client, 0))
}

// Once EndSession returned, nobody is proven, and whatever was held was told.
func TestEndSessionRaces(t *testing.T) {
	h := newHouse(t)
	a := h.register(t, "alice")
	ends := map[string]func(g Grant) error{
		"EndSession": func(g Grant) error {
			_, err := h.EndSession(context.Background(), operator, a.ID, g.Session.ID)
			return err
		},
		"LogoutAll": func(Grant) error { _, err := h.LogoutAll(context.Background(), operator, a.ID, ""); return err },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			held := 0
			for round := range 1500 {
				g := h.session(t, a)
				if round%2 == 0 { // known before, or looked up in the race
					must[Identity](t)(h.auth(t, g))
				}
				var over atomic.Bool
				var late, unheard atomic.Int32
				conns := make([]conn, 3)
				var wg sync.WaitGroup
				start := make(chan struct{})
				for i := range conns {
					wg.Go(func() {
						<-start
						var err error
						if i == 0 { // as it was begun
							err = h.Hold(context.Background(), g.Proven, &conns[i], &conns[i].lease, false)
						} else {
							_, err = h.holdToken(context.Background(), h.tok(g), &conns[i], &conns[i].lease, false)
						}
						if err != nil {
							conns[i].lease = Lease{}
						}
						// After this, EndSession may be over: then it told conns[i], or did not find it held.
					})
				}
				for range 2 {
					wg.Go(func() {
						<-start
						for range 5 {
							before := over.Load()
							if _, err := h.Authenticate(context.Background(), h.tok(g)); err == nil && before {
								late.Add(1)
							}
						}
					})
				}
				wg.Go(func() {
					<-start
					if round%3 == 0 {
						runtime.Gosched()
					}
					if err := end(g); err != nil {
						t.Error(err)
					}
					over.Store(true)
				})
				close(start)
				wg.Wait()
				for i := range conns {
					if conns[i].lease.session != nil {
						held++
						if conns[i].ends[EndSession].Load() != 1 {
							unheard.Add(1)
						}
					}
					conns[i].lease.Release()
				}
				if late.Load() > 0 || unheard.Load() > 0 {
					t.Fatalf("round %d: %d proven after the end, %d held and not told", round, late.Load(), unheard.Load())
				}
				if _, err := h.auth(t, g); KindOf(err) != KindSessionOver {
					t.Fatalf("round %d: afterwards: %v", round, err)
				}
			}
			if held == 0 {
				t.Error("nothing was ever held: the race did not take place")
			}
		})
	}
	want(t, "connections", h.state.live.Connections(), 0)
	want(t, "sessions known", h.state.live.Sessions(), 0)
}

// An end that comes while the session is being looked up is not overtaken by what the look-up read before.
func TestEndDuringLookup(t *testing.T) {
	for _, all := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			g := h.person(t, "alice")
			goOn := make(chan struct{})
			h.store.onDone(func(op string) error {
				if op == "Session" {
					<-goOn
				}
				return nil
			})
			answers := make(chan error, 6)
			for i := range cap(answers) {
				go func() {
					if i%2 == 0 {
						_, err := h.Authenticate(context.Background(), h.tok(g))
						answers <- err
						return
					}
					c := &conn{}
					_, err := h.holdToken(context.Background(), h.tok(g), c, &c.lease, false)
					answers <- err
				}()
			}
			synctest.Wait() // one of them has read the session, the others wait for it
			var err error
			if all {
				_, err = h.LogoutAll(t.Context(), operator, g.Account.ID, "")
			} else {
				_, err = h.EndSession(t.Context(), operator, g.Account.ID, g.Session.ID)
			}
			if err != nil {
				t.Fatal(err)
			}
			close(goOn)
			for range cap(answers) {
				wantKind(t, "the look-up that was overtaken", <-answers, KindSessionOver)
			}
			want(t, "connections", h.state.live.Connections(), 0)
		})
	}
}

// SES-05: an end whose answer was lost on the way from the store is told as failed, and the next try completes it.
func TestSES05LostAnswer(t *testing.T) {
	ends := map[string]func(h *house, g Grant) (Receipt, error){
		"EndSession": func(h *house, g Grant) (Receipt, error) {
			return h.EndSession(t.Context(), operator, g.Account.ID, g.Session.ID)
		},
		"LogoutAll": func(h *house, g Grant) (Receipt, error) { return h.LogoutAll(t.Context(), operator, g.Account.ID, "") },
		"Disable":   func(h *house, g Grant) (Receipt, error) { return h.Disable(t.Context(), operator, g.Account.ID) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			g, bob := h.person(t, "alice"), h.person(t, "bob")
			var c, other conn
			h.hold(t, g, &c, false)
			h.hold(t, bob, &other, false)
			h.store.onDone(func(string) error { return errStore }) // done, but the connection broke
			_, err := end(h, g)
			wantKind(t, "the answer was lost", err, KindUnavailable)
			h.store.onDone(nil)
			r, err := end(h, g)
			if err != nil {
				t.Fatal(err)
			}
			want(t, "closed", r.Closed, 1)
			want(t, "alice's connection", c.ended(), "session:1 token:0 shutdown:0")
			want(t, "bob's connection", other.ended(), "session:0 token:0 shutdown:0")
			_, err = h.auth(t, g)
			wantKind(t, "afterwards", err, KindSessionOver)
			must[Identity](t)(h.auth(t, bob))

			// Nothing was done where the store could not be asked at all.
			g = bob
			h.store.onCall(func(context.Context, string) error { return errStore })
			_, err = end(h, g)
			wantKind(t, "no store", err, KindUnavailable)
			h.store.onCall(nil)
			must[Receipt](t)(end(h, g))
			want(t, "bob's connection", other.ended(), "session:1 token:0 shutdown:0")
		})
	}
}

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
	now := h.state.Now
	h.state.Now = func() time.Time {
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

func TestEndAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, func(o *StateOptions, _ *Policy) { o.Now = time.Now })
		a := h.register(t, "alice")
		conns := make([]conn, 50)
		for i := range conns {
			if i%5 == 0 {
				if err := h.HoldVisitor(&conns[i], &conns[i].lease); err != nil {
					t.Fatal(err)
				}
				continue
			}
			h.hold(t, h.session(t, a), &conns[i], false)
		}
		want(t, "connections", h.state.live.Connections(), 50)
		g := h.session(t, a)
		start := time.Now()
		want(t, "told", h.state.live.EndAll(t.Context(), 10*time.Second), 50)
		if took := time.Since(start); took < 9*time.Second || took > 10*time.Second {
			t.Errorf("took %v, want nearly 10s", took)
		}
		for i := range conns {
			want(t, "ended", conns[i].ended(), "session:0 token:0 shutdown:1")
		}
		var late conn
		_, err := h.holdToken(t.Context(), h.tok(g), &late, &late.lease, false)
		wantKind(t, "held after the end", err, KindUnavailable)
		wantKind(t, "a visitor held after the end", h.HoldVisitor(&late, &late.lease), KindUnavailable)
		want(t, "connections", h.state.live.Connections(), 50)

		// Told when there is no time left: at once.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		start = time.Now()
		want(t, "told again", h.state.live.EndAll(ctx, time.Hour), 50)
		want(t, "took", time.Since(start), 0)
		for i := range conns {
			conns[i].lease.Release()
		}
		want(t, "connections", h.state.live.Connections(), 0)
		want(t, "nobody left", h.state.live.EndAll(t.Context(), time.Hour), 0)
	})
}

// What is held while everything ends is told, or was refused.
func TestEndAllRaces(t *testing.T) {
	for range 200 {
		h := &house{clock: newClock()}
		l := newLive(h.clock.Now)
		conns := make([]conn, 16)
		var held [16]bool
		parallel(len(conns)+1, func(i int) {
			if i == len(conns) {
				l.EndAll(context.Background(), 0)
				return
			}
			held[i] = l.attach(&l.anon, &conns[i], &conns[i].lease, 0)
		})
		for i := range conns {
			if told := conns[i].ends[EndShutdown].Load(); held[i] != (told == 1) {
				t.Fatalf("held %v, told %d times", held[i], told)
			}
		}
	}
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

// Callers who ask for one session at once share one look-up; one that gives up does not take it from the others.
func TestSharedLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		g := h.person(t, "alice")
		goOn := make(chan struct{})
		h.store.onCall(func(ctx context.Context, op string) error {
			if op == "Session" {
				<-goOn
			}
			return ctx.Err()
		})
		first, cancel := context.WithCancel(context.Background())
		answers := make(chan error, 100)
		go func() {
			_, err := h.Authenticate(first, h.tok(g))
			answers <- err
		}()
		synctest.Wait()
		for range 98 {
			go func() {
				_, err := h.Authenticate(context.Background(), h.tok(g))
				answers <- err
			}()
		}
		synctest.Wait()
		cancel() // who began it
		impatient, giveUp := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer giveUp()
		start := time.Now()
		_, err := h.Authenticate(impatient, h.tok(g))
		wantKind(t, "one who cannot wait", err, KindUnavailable)
		want(t, "waited", time.Since(start), 500*time.Millisecond)
		close(goOn)
		for range 99 {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
		want(t, "look-ups of the session", h.store.count("Session"), 1)
		want(t, "look-ups of the account", h.store.count("SessionAccount"), 1)
		must[Identity](t)(h.auth(t, g))
		want(t, "look-ups when it is known", h.store.count("Session"), 1)
	})
}

// DEP-01: a store that fails or hangs refuses those who are not known, and nobody any longer than it fails.
func TestDEP01StoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		g := h.person(t, "alice")
		bob := h.person(t, "bob")
		must[Identity](t)(h.auth(t, bob))
		for _, broken := range []string{"Session", "SessionAccount"} {
			h.store.onCall(func(_ context.Context, op string) error {
				if op == broken {
					return errStore
				}
				return nil
			})
			for range 3 {
				id, err := h.auth(t, g)
				wantKind(t, broken+" fails", err, KindUnavailable)
				want(t, "identity", id, Identity{})
				want(t, "told", AsError(err).Msg, "service temporarily unavailable")
			}
			must[Identity](t)(h.auth(t, bob))
			want(t, "sessions known", h.state.live.Sessions(), 1)
			h.store.onCall(nil)
		}
		h.store.onCall(func(ctx context.Context, _ string) error {
			<-ctx.Done()
			return ctx.Err()
		})
		start := time.Now()
		_, err := h.auth(t, g)
		wantKind(t, "the store hangs", err, KindUnavailable)
		want(t, "no longer than", time.Since(start) <= 5*time.Second, true)
		h.store.onCall(nil)
		must[Identity](t)(h.auth(t, g))
	})
}
