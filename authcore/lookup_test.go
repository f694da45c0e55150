package authcore

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// An end that comes while the session is being looked up is not overtaken by what the look-up read before.
func TestEndDuringLookup(t *testing.T) {
	for _, tc := range []struct {
		read string // the last thing that was read before the end
		all  bool
	}{{"Session", false}, {"Session", true}, {"SessionAccount", false}, {"SessionAccount", true}} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			g := h.person(t, "alice")
			goOn := make(chan struct{})
			h.store.onDone(func(op string) error {
				if op == tc.read {
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
			if tc.all {
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
		h.idle()
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
