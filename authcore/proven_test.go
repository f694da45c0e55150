package authcore

import (
	"testing"
	"time"
)

// proofs are the ways to a session that can be held.
var proofs = map[string]func(h *house, t testing.TB) (Grant, ProvenSession){
	"by a login": func(h *house, t testing.TB) (Grant, ProvenSession) {
		g := h.person(t, "alice")
		return g, g.Proven
	},
	"by a registration": func(h *house, t testing.TB) (Grant, ProvenSession) {
		g := h.join(t, "alice")
		return g, g.Proven
	},
	"by a refresh": func(h *house, t testing.TB) (Grant, ProvenSession) {
		g := must[Grant](t)(h.refresh(h.person(t, "alice"), 0))
		return g, g.Proven
	},
	"by a token": func(h *house, t testing.TB) (Grant, ProvenSession) {
		g := h.person(t, "alice")
		return g, must[ProvenSession](t)(h.Authenticate(t.Context(), h.tok(g)))
	},
}

// What happens between a proof and the hold is noticed, whatever this process still knows of the session.
func TestHoldNoticesTheEnd(t *testing.T) {
	t.Parallel()
	happens := map[string]struct {
		what func(h *house, t testing.TB, g Grant)
		kind Kind
	}{
		"nothing": {func(*house, testing.TB, Grant) {}, 0},
		"a logout": {func(h *house, t testing.TB, g Grant) {
			must[Receipt](t)(h.EndSession(t.Context(), operator, g.Account.ID, g.Session.ID))
		}, KindSessionOver},
		"a logout of all": {func(h *house, t testing.TB, g Grant) {
			must[Receipt](t)(h.LogoutAll(t.Context(), operator, g.Account.ID, ""))
		}, KindSessionOver},
		"the end of the account": {func(h *house, t testing.TB, g Grant) {
			must[Receipt](t)(h.Disable(t.Context(), operator, g.Account.ID))
		}, KindSessionOver},
		"the end of the session's time": {func(h *house, _ testing.TB, _ Grant) { h.clock.Advance(15 * 24 * time.Hour) }, KindSessionOver},
		"the end of the token's time":   {func(h *house, _ testing.TB, g Grant) { h.clock.Advance(g.Expires.Sub(h.clock.Now())) }, KindBadToken},
		"two refreshes": {func(h *house, t testing.TB, g Grant) {
			must[Grant](t)(h.refresh(must[Grant](t)(h.refresh(g, 0)), 0))
		}, 0},
	}
	for by, proof := range proofs {
		for name, tc := range happens {
			for _, known := range []bool{true, false} {
				h := newHouse(t)
				g, p := proof(h, t)
				tc.what(h, t, g)
				if !known {
					h.state.live.forget()
				}
				var c conn
				err := h.Hold(t.Context(), p, &c, &c.lease, true)
				if tc.kind != 0 {
					wantKind(t, by+", then "+name, err, tc.kind)
				} else {
					want(t, by+", then "+name, err, nil)
					must[Receipt](t)(h.EndSession(t.Context(), operator, g.Account.ID, g.Session.ID))
					want(t, by+", then held, then ended", c.ended(), over)
				}
				want(t, by+", then "+name+": connections", h.state.live.Connections(), map[bool]int{true: 1}[err == nil])
				c.lease.Release()
			}
		}
	}
}

// Who has just logged in is held without a look at their token or their session.
func TestHoldAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for name, g := range map[string]Grant{"a login": h.person(t, "alice"), "a registration": must[Grant](t)(h.Join(t.Context(), joining("bob")))} {
		sessions, accounts := h.store.count("Session"), h.store.count("SessionAccount")
		var c conn
		want(t, name, h.Hold(t.Context(), g.Proven, &c, &c.lease, false), nil)
		want(t, name+": sessions read", h.store.count("Session")-sessions, 0)
		want(t, name+": accounts read", h.store.count("SessionAccount")-accounts, 1)
		want(t, name+": tokens verified", h.tokens.verified.Len(), 0)
		want(t, name+": who", g.Proven.Identity, must[Identity](t)(h.auth(t, g)))
		h.tokens.verified.Purge()
		c.lease.Release()
	}
}

func TestHoldNobody(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.person(t, "alice")
	var c conn
	wantKind(t, "of no service", h.Hold(t.Context(), ProvenSession{Identity: g.Proven.Identity}, &c, &c.lease, false), KindSessionOver)
}
