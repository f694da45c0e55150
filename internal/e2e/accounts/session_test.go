//go:build linux

package accounts

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// Every login begins a session of its own, whatever session the client brings along (SES-04).
func TestSessionsAreFresh(t *testing.T) {
	each(t, options{}, func(t *testing.T, d *deployment) {
		name, email, brought := d.user(t)
		session := func(token string) string {
			t.Helper()
			a := d.mustCall(t, 0, http.MethodGet, "/api/auth/sessions", token, nil, http.StatusOK)
			for _, s := range strings.Split(a.body, "},{") {
				if strings.Contains(s, `"current":true`) {
					id, _, _ := strings.Cut(strings.SplitAfter(s, `"id":"`)[1], `"`)
					return id
				}
			}
			t.Fatalf("no session is the current one: %v", a)
			return ""
		}
		seen := map[string]string{session(brought): "register"}
		fresh := func(what, token string) {
			t.Helper()
			id := session(token)
			if before := seen[id]; before != "" {
				t.Errorf("%s gave the session of %s", what, before)
			}
			seen[id] = what
		}
		fresh("a login over auth", d.mustCall(t, 1, http.MethodPost, "/api/auth/login", brought,
			object{"email": email, "password": password}, http.StatusOK).get("token"))
		fresh("a login over rooms", d.mustCall(t, 0, http.MethodPost, "/api/v1/login", brought,
			object{"username": name, "secret": password}, http.StatusOK).get("data", "token"))
		c := gatetest.Dial(t, d.node(1).HTTP)
		body := object{"username": name, "password": password}.String()
		c.Send("POST /users/login HTTP/1.1\r\nHost: " + d.node(1).HTTP + "\r\nCookie: ssid=" + brought +
			"\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
		resp, text := c.Response()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("a login over users: %s %s", resp.Status, text)
		}
		fresh("a login over users", answer{body: text}.get("data", "message", "ssid"))
		s := newSocket(t, d.node(0), "/ws")
		for range 2 {
			s.load(request{name: "user_token_auth", args: object{"token": brought}})
			s.fire()
			if a := s.answer(); a.status != http.StatusOK {
				t.Fatalf("user_token_auth: %v", a)
			}
			s.load(request{name: "user_login", args: object{"username": name, "password": password}})
			s.fire()
			fresh("a login over methods", s.answer().get("d", "token"))
		}
		d.wantAlive(t, brought)
	})
}
