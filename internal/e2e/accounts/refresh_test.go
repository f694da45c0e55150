//go:build linux

package accounts

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// claims are those of a token that tests look at.
type claims struct {
	Account    string `json:"sub"`
	Session    string `json:"sid"`
	Generation int64  `json:"gen"`
}

func claimsOf(t testing.TB, token string) (c claims) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no token", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	must(t, json.Unmarshal(raw, &c))
	return c
}

func generation(t testing.TB, token string) int64 { return claimsOf(t, token).Generation }

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

// A token that was superseded for more than a minute is stolen where another client brings it, or its successor was: the
// session ends, on every node and with every connection, and its owner is told (SES-02).
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
		d.age(t, first)
		if a := d.refreshAs(1, first, "thief/1.0"); a.status != http.StatusUnauthorized || a.get("error") != "session_over" {
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

// Three tabs share a session. One that is two refreshes behind uses its token on, and opens WebSockets. It gets a new one
// for a minute; later it has to log in again, and takes nobody along.
func TestThreeTabs(t *testing.T) {
	each(t, options{}, func(t *testing.T, d *deployment) {
		_, email, first := d.user(t)
		busy := first
		for i := range 4 {
			busy = d.refresh(t, i, busy)
		}
		d.wantAlive(t, first)
		socks := d.sockets(t, first)
		for i := range d.nodes {
			if got := d.refresh(t, i, first); generation(t, got) != generation(t, busy) {
				t.Fatalf("generation %d, while %d is the newest", generation(t, got), generation(t, busy))
			}
		}
		d.age(t, first)
		for i := range d.nodes {
			if a := d.refreshAs(i, first, ""); a.status != http.StatusUnauthorized || a.get("error") != "bad_token" {
				t.Fatalf("a token that was superseded for more than a minute: %v", a)
			}
		}
		d.wantAlive(t, first)
		d.wantAlive(t, busy)
		for _, s := range append(socks, d.sockets(t, first)...) {
			s.Echo("still here")
		}
		d.refresh(t, 0, busy)
		d.login(t, 1, email, password) // as the tab is told to
		if a := d.refreshAs(0, first, "thief/1.0"); a.get("error") != "session_over" {
			t.Fatalf("a replayed token: %v", a)
		}
		d.noticed(t, email, 1, "session of yours")
	})
}

// The first token of a session, in a cookie or in a client of another contract, outlives what the session's refreshes
// make of it: those contracts have none.
func TestTokenOfOtherContracts(t *testing.T) {
	each(t, options{}, func(t *testing.T, d *deployment) {
		name, _, _ := d.user(t)
		ssid := d.mustCall(t, 0, http.MethodPost, "/users/login", "", object{"username": name, "password": password}, http.StatusOK).
			get("data", "message", "ssid")
		newest := ssid
		for i := range 4 {
			newest = d.refresh(t, i, newest)
		}
		d.age(t, ssid)
		for _, g := range d.nodes {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+g.HTTP+"/users/info", http.NoBody)
			must(t, err)
			req.Header.Set("Cookie", "ssid="+ssid)
			if a := d.do(req); a.status != http.StatusOK {
				t.Errorf("a cookie after refreshes: %v", a)
			}
			s := newSocket(t, g, "/ws")
			s.load(request{name: "user_token_auth", args: object{"token": ssid}})
			s.fire()
			if a := s.answer(); a.status != http.StatusOK {
				t.Errorf("user_token_auth after refreshes: %v", a)
			}
		}
		d.wantAlive(t, ssid)
		d.mustCall(t, 1, http.MethodPost, "/api/auth/logout", newest, nil, http.StatusNoContent)
		d.wantOver(t, ssid)
	})
}

// refreshAs refreshes as a client that calls itself by a name.
func (d *deployment) refreshAs(i int, token, agent string) answer {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+d.node(i).HTTP+"/api/auth/refresh", http.NoBody)
	if err != nil {
		return answer{body: err.Error()}
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if agent != "" {
		req.Header.Set("User-Agent", agent)
	}
	return d.do(req)
}

// age has every refresh of a token's session be of long ago.
func (d *deployment) age(t testing.TB, token string) {
	t.Helper()
	const old = "1000000000000,1000000000000,1000000000000,1000000000000"
	c := claimsOf(t, token)
	if d.redis == nil {
		db, err := sql.Open("sqlite", "file:"+d.file+"?_pragma=busy_timeout(20000)")
		must(t, err)
		defer db.Close()
		r, err := db.ExecContext(t.Context(), `UPDATE sessions SET rotations = $3 WHERE account = $1 AND id = $2 AND rotations <> ''`, c.Account, c.Session, old)
		must(t, err)
		if n, err := r.RowsAffected(); n != 1 || err != nil {
			t.Fatalf("%d sessions were aged, %v", n, err)
		}
		return
	}
	keys, err := d.redis.Keys(t.Context(), "*"+c.Account+"*:sessions").Result()
	must(t, err)
	if len(keys) != 1 {
		t.Fatalf("sessions are in %q", keys)
	}
	text, err := d.redis.HGet(t.Context(), keys[0], c.Session).Result()
	must(t, err)
	aged := regexp.MustCompile(`"rotations":"[^"]+"`).ReplaceAllString(text, `"rotations":"`+old+`"`)
	if aged == text {
		t.Fatalf("%s has no refresh", text)
	}
	must(t, d.redis.HSet(t.Context(), keys[0], c.Session, aged).Err())
}
