package authcore

import (
	"strings"
	"testing"
	"time"
)

// A token that was good once is told from what never was one of ours.
func TestWasOurs(t *testing.T) {
	h := newHouse(t)
	g := h.person(t, "alice")
	check := func(what string, token UnverifiedToken, ours bool) {
		t.Helper()
		if _, err := h.Authenticate(t.Context(), token); err == nil || WasOurs(err) != ours {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, token := range map[string]UnverifiedToken{
		"nothing": "", "another's": "s:abc.def", "altered": h.tok(g) + "x", "cut": h.tok(g)[:40], "long": UnverifiedToken(strings.Repeat("x", 5000)),
		"of another house": UnverifiedToken(newHouse(t).person(t, "alice").Token), "unsigned": "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.c2ln",
	} {
		check(what, token, false)
	}
	once := must[Grant](t)(h.refresh(h.login(t, "alice"), time.Hour))
	must[Receipt](t)(h.EndSession(t.Context(), operator, g.Account.ID, g.Session.ID))
	check("of a session that is over", h.tok(g), true)
	h.clock.Advance(60 * 24 * time.Hour)
	check("expired", h.tok(once), true)
	if WasOurs(nil) || WasOurs(unavailable("x", errStore)) || WasOurs(errWrongPassword) {
		t.Error("what says nothing of a token")
	}
}
