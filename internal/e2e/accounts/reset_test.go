//go:build linux

package accounts

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// noticed waits until an address was sent n messages whose subjects have a word.
func (d *deployment) noticed(t testing.TB, to string, n int, word string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		seen := 0
		for _, m := range d.messages(t, to) {
			if strings.Contains(strings.ToLower(m.subject), word) {
				seen++
			}
		}
		if seen == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s was sent %d messages about %q, want %d", to, seen, word, n)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// requestOTP asks for a code, and returns what goes with it.
func (d *deployment) requestOTP(t testing.TB, i int, name string) (userhash, reqid string) {
	t.Helper()
	a := d.mustCall(t, i, http.MethodPost, "/users/requestotp", "", object{"username": name}, http.StatusOK)
	userhash, reqid = a.get("data", "message", "userhash"), a.get("data", "message", "reqid")
	if userhash == "" || reqid == "" {
		t.Fatalf("requestotp: %v", a)
	}
	return userhash, reqid
}

func newPassword(userhash, reqid, code, secret string) request {
	return request{method: http.MethodPost, path: "/users/modifypassword", body: object{
		"userhash": userhash, "reqid": reqid, "OTP": code, "password": secret,
	}}
}

// One user registers through one dialect, logs in through others, and chooses a new password through another one; then
// every token and connection of before is over, on every node, and the owner knows (OTP-04).
func TestResetEndsEverything(t *testing.T) {
	each(t, options{}, func(t *testing.T, d *deployment) {
		name, email, first := d.user(t)
		overRooms := d.mustCall(t, 1, http.MethodPost, "/api/v1/login", "", object{"username": name, "secret": password}, http.StatusOK).get("data", "token")
		overUsers := d.mustCall(t, 0, http.MethodPost, "/users/login", "", object{"username": strings.ToUpper(name), "password": password}, http.StatusOK).get("data", "message", "ssid")
		s := newSocket(t, d.node(1), "/ws")
		s.load(request{name: "user_login", args: object{"username": name, "password": password}})
		s.fire()
		overMethods := s.answer().get("d", "token")
		tokens := []string{first, overRooms, overUsers, overMethods}
		for _, tok := range tokens {
			d.wantAlive(t, tok)
		}
		socks := append(d.sockets(t, first), d.sockets(t, overRooms)...)

		userhash, reqid := d.requestOTP(t, 0, name)
		code := d.code(t, email, 1)
		const fresh = "Another-Quarry-72"
		r := newPassword(userhash, reqid, code, fresh)
		a := d.mustCall(t, 1, r.method, r.path, "", r.body, http.StatusOK)
		if a.get("data", "message", "userhash") != userhash || a.get("data", "message", "reqid") != reqid || a.header.Get("Set-Cookie") != "" {
			t.Errorf("the answer to a reset: %v %v", a, a.header)
		}
		for _, c := range socks {
			c.ExpectClose(4401)
		}
		for _, tok := range tokens {
			d.wantOver(t, tok)
		}
		if f := s.conn.Frame(); !strings.Contains(string(f.Payload), "user_logged_out") {
			t.Errorf("a socket of the methods got %q", f.Payload)
		}
		d.mustCall(t, 0, http.MethodPost, "/api/auth/login", "", object{"email": email, "password": password}, http.StatusUnauthorized)
		d.wantAlive(t, d.login(t, 1, email, fresh))
		d.noticed(t, email, 1, "password")
		// The code is used up.
		d.mustCall(t, 0, r.method, r.path, "", r.body, http.StatusUnauthorized)
	})
}

// Of 16 with the right code, each with another password, one gets through (OTP-02), in each of 50 rounds.
func TestCodeRace(t *testing.T) {
	each(t, options{}, func(t *testing.T, d *deployment) {
		all := d.httpRacers(t)
		for round := range rounds {
			name, email, _ := d.user(t)
			userhash, reqid := d.requestOTP(t, round, name)
			code := d.code(t, email, 1)
			var requests []request
			for i := range all {
				requests = append(requests, newPassword(userhash, reqid, code, fmt.Sprintf("Quarry-%d-of-%d", i, round)))
			}
			winners := succeeded(t, race(all, requests), "ERROR_INVALID_OTP", "RATE_LIMITED")
			if len(winners) != 1 {
				t.Fatalf("round %d: %d used the same code", round, len(winners))
			}
			loser := (winners[0] + 1) % racers
			for _, secret := range []string{password, fmt.Sprintf("Quarry-%d-of-%d", loser, round)} {
				d.mustCall(t, round, http.MethodPost, "/api/auth/login", "", object{"email": email, "password": secret}, http.StatusUnauthorized)
			}
			token := d.login(t, 0, email, fmt.Sprintf("Quarry-%d-of-%d", winners[0], round))
			d.mustCall(t, 1, http.MethodGet, "/api/auth/me", token, nil, http.StatusOK)
		}
	})
}

// However many guess at once, no more than five guesses are judged, and a new code does not give more (OTP-01, OTP-02).
func TestGuesses(t *testing.T) {
	each(t, options{}, func(t *testing.T, d *deployment) {
		all := d.httpRacers(t)
		for round := range 5 {
			name, email, _ := d.user(t)
			userhash, reqid := d.requestOTP(t, round, name)
			code := d.code(t, email, 1)
			requests := make([]request, len(all))
			for i := range all {
				requests[i] = newPassword(userhash, reqid, wrong(code, i), "Another-Quarry-72")
			}
			if winners := succeeded(t, race(all, requests), "ERROR_INVALID_OTP", "RATE_LIMITED"); len(winners) > 0 {
				t.Fatalf("round %d: a wrong code was taken", round)
			}
			// The tries are spent: not even the right code is good any more.
			r := newPassword(userhash, reqid, code, "Another-Quarry-72")
			if a := d.call(d.node(round), r.method, r.path, "", r.body); a.status == http.StatusOK {
				t.Fatalf("round %d: a code was taken after %d guesses: %v", round, racers, a)
			}
			// And a new one has none left, for a while.
			userhash, reqid = d.requestOTP(t, round, name)
			r = newPassword(userhash, reqid, d.code(t, email, 2), "Another-Quarry-72")
			if a := d.call(d.node(round+1), r.method, r.path, "", r.body); a.status != http.StatusTooManyRequests {
				t.Fatalf("round %d: a new code after %d guesses: %v", round, racers, a)
			}
			d.login(t, 0, email, password)
		}
	})
}

// wrong returns a code that is not the given one, another for each i below ten thousand.
func wrong(code string, i int) string {
	var n int
	_, _ = fmt.Sscanf(code, "%d", &n)
	return fmt.Sprintf("%06d", (n+1+i)%1_000_000)
}

// A code is good for whom it was sent, for what it was asked for, and only while it is the newest (OTP-03).
func TestCodeIsBound(t *testing.T) {
	each(t, options{}, func(t *testing.T, d *deployment) {
		alice, toAlice, _ := d.user(t)
		bob, toBob, _ := d.user(t)
		hashA, reqA := d.requestOTP(t, 0, alice)
		codeA := d.code(t, toAlice, 1)
		hashB, reqB := d.requestOTP(t, 1, bob)
		codeB := d.code(t, toBob, 1)
		refused := func(what string, r request) {
			t.Helper()
			if a := d.call(d.node(1), r.method, r.path, "", r.body); a.status != http.StatusUnauthorized || a.get("data", "message") != "ERROR_INVALID_OTP" {
				t.Fatalf("%s: %v", what, a)
			}
		}
		if codeA != codeB {
			refused("another's code", newPassword(hashB, reqB, codeA, "Another-Quarry-72"))
		}
		refused("another's request", newPassword(hashB, reqA, codeA, "Another-Quarry-72"))
		refused("no request", newPassword(hashA, "AAAAAAAAAAAAAAAAAAAAAA", codeA, "Another-Quarry-72"))
		newer, reqNew := d.requestOTP(t, 1, alice)
		codeNew := d.code(t, toAlice, 2)
		if newer != hashA {
			t.Fatalf("userhash %s, then %s", hashA, newer)
		}
		refused("an older send", newPassword(hashA, reqA, codeA, "Another-Quarry-72"))
		r := newPassword(hashA, reqNew, codeNew, "Another-Quarry-72")
		d.mustCall(t, 0, r.method, r.path, "", r.body, http.StatusOK)
		d.login(t, 1, toAlice, "Another-Quarry-72")
		d.login(t, 0, toBob, password)
	})
}
