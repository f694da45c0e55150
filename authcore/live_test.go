package authcore

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

func (h *house) tok(g Grant) UnverifiedToken { return UnverifiedToken(g.Token) }

// session begins one without the price of a password.
func (h *house) session(t testing.TB, a Account) Grant {
	t.Helper()
	now := must[Account](t)(h.state.options.Accounts.AccountByID(context.Background(), a.ID)) // its epoch may be another
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
