//go:build linux

package accounts

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// generation reads the claim of a token.
func generation(t testing.TB, token string) int64 {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no token", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	var claims struct {
		Generation int64 `json:"gen"`
	}
	must(t, json.Unmarshal(raw, &claims))
	return claims.Generation
}

func (d *deployment) refresh(t testing.TB, i int, token string) string {
	t.Helper()
	return d.mustCall(t, i, http.MethodPost, "/api/auth/refresh", token, nil, http.StatusOK).get("token")
}

// Of 16 who refresh the same token, each gets one, and all of the same generation: there is one next one (SES-01). They
// all live, and all end with the session.
func TestRefreshRace(t *testing.T) {
	each(t, options{}, func(t *testing.T, d *deployment) {
		_, email, token := d.user(t)
		all := d.httpRacers(t)
		for round := range rounds {
			before := generation(t, token)
			requests := make([]request, len(all))
			for i := range all {
				requests[i] = request{method: http.MethodPost, path: "/api/auth/refresh", token: token}
			}
			answers := race(all, requests)
			if n := len(succeeded(t, answers)); n != len(all) {
				t.Fatalf("round %d: %d of %d got a token", round, n, len(all))
			}
			var fresh []string
			for i, a := range answers {
				tok := a.get("token")
				if g := generation(t, tok); g != before+1 {
					t.Fatalf("round %d: racer %d got generation %d after %d", round, i, g, before)
				}
				fresh = append(fresh, tok)
			}
			if round%10 == 9 { // every one of them dies with the session
				d.wantAlive(t, fresh[0])
				d.wantAlive(t, fresh[len(fresh)-1])
				d.mustCall(t, round, http.MethodPost, "/api/auth/logout", fresh[3], nil, http.StatusNoContent)
				for _, tok := range append(fresh, token) {
					d.wantOver(t, tok)
					if a := d.call(d.node(round), http.MethodPost, "/api/auth/refresh", tok, nil); a.status != http.StatusUnauthorized {
						t.Fatalf("round %d: a refresh of an ended session: %v", round, a)
					}
				}
				token = d.login(t, round, email, password)
				continue
			}
			token = fresh[round%len(fresh)]
		}
	})
}

// A refresh that races a logout revives nothing (SES-03), in each of 50 rounds.
func TestRefreshRacesLogout(t *testing.T) {
	each(t, options{}, func(t *testing.T, d *deployment) {
		_, email, token := d.user(t)
		all := d.httpRacers(t)
		for round := range rounds {
			var requests []request
			for i := range all {
				path := "/api/auth/refresh"
				if i%8 == 7 {
					path = []string{"/api/auth/logout", "/api/auth/logout-all"}[round%2]
				}
				requests = append(requests, request{method: http.MethodPost, path: path, token: token})
			}
			answers := race(all, requests)
			ended := 0
			tokens := []string{token}
			for i, a := range answers {
				switch {
				case i%8 == 7 && a.status == http.StatusNoContent:
					ended++
				case i%8 != 7 && a.status == http.StatusOK:
					tokens = append(tokens, a.get("token"))
				case a.status != http.StatusUnauthorized:
					t.Fatalf("round %d: racer %d: %v", round, i, a)
				}
			}
			if ended == 0 {
				t.Fatalf("round %d: nobody could log out: %v", round, answers)
			}
			for _, tok := range tokens {
				for i, g := range d.nodes {
					if a := d.call(g, http.MethodGet, "/api/auth/me", tok, nil); a.status != http.StatusUnauthorized {
						t.Fatalf("round %d: node %d takes a token of a session that was logged out: %v", round, i, a)
					}
				}
			}
			token = d.login(t, round, email, password)
		}
	})
}

// A token before the last but one is stolen, or its successor was: the session ends, on every node and with every
// connection, and its owner is told (SES-02).
func TestStolenToken(t *testing.T) {
	each(t, options{}, func(t *testing.T, d *deployment) {
		_, email, first := d.user(t)
		other := d.login(t, 1, email, password)
		second := d.refresh(t, 0, first)
		third := d.refresh(t, 1, second)
		// The last but one again: its answer may have been lost.
		again := d.refresh(t, 0, second)
		if a, b := generation(t, third), generation(t, again); a != b || a != generation(t, first)+2 {
			t.Fatalf("generations %d and %d after %d", a, b, generation(t, first))
		}
		d.wantAlive(t, third)
		d.wantAlive(t, again)
		socks := d.sockets(t, again)
		if a := d.call(d.node(1), http.MethodPost, "/api/auth/refresh", first, nil); a.status != http.StatusUnauthorized {
			t.Fatalf("a replayed token: %v", a)
		}
		for _, s := range socks {
			s.ExpectClose(4401)
		}
		for _, tok := range []string{first, second, third, again} {
			d.wantOver(t, tok)
		}
		d.wantAlive(t, other)
		d.noticed(t, email, 1, "session of yours")
	})
}
