package attack

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// takenAway is the answer's word to a browser that a cookie is to be forgotten.
const takenAway = "ssid=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly; SameSite=Lax"

func assertTakenAway(t *testing.T, h http.Header, want bool) {
	t.Helper()
	set := strings.TrimSuffix(strings.Join(h["Set-Cookie"], "|"), "; Secure")
	if set = strings.Replace(set, "; Secure", "", 1); (set == takenAway) != want || !want && set != "" {
		t.Errorf("Set-Cookie %q, taken away: want %v", h["Set-Cookie"], want)
	}
	if want && !strings.Contains(strings.Join(h["Cache-Control"], ", "), "no-store") {
		t.Errorf("a cache may keep it: %q", h["Cache-Control"])
	}
}

// ended returns the token of a session of alice's that is over.
func ended(t *testing.T, c *chat) string {
	t.Helper()
	token := c.Login("alice", password)
	if status, _, body := c.Call(http.MethodPost, "/api/v1/logout", token, ""); status != http.StatusOK {
		t.Fatalf("logout: %d %s", status, body)
	}
	return token
}

// A cookie is sent along by itself: one that holds nothing good counts for nothing, and keeps nobody out.
func TestDeadCookies(t *testing.T) {
	c := theChat(t)
	over := ended(t, c)
	for name, tc := range map[string]struct {
		cookies string
		ours    bool // one of them was a session of ours
	}{
		"a session that is over":     {"ssid=" + over, true},
		"quoted":                     {`ssid="` + over + `"`, true},
		"altered":                    {"ssid=" + tamper(c.alice), false},
		"another's":                  {"ssid=s%3Aq8dk3.0pVzX", false},
		"somebody else's JWT":        {"ssid=eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", false},
		"long":                       {"ssid=" + strings.Repeat("x", 5000), false},
		"two, of which none is good": {"ssid=" + over + "; ssid=other", true},
		"two of others":              {"ssid=one; ssid=other", false},
		"many":                       {"ssid=a; ssid=b; ssid=c; ssid=d; ssid=e; ssid=f; ssid=g; ssid=h; ssid=i", false},
	} {
		t.Run(name, func(t *testing.T) {
			cookie := "Cookie: theme=dark; " + tc.cookies + "; lang=eo"
			visited := func(resp *http.Response, n int) {
				t.Helper()
				assertTakenAway(t, resp.Header, true)
				v := c.up.visit(t, n)
				assertIdentity(t, v.head, "", false)
				v.assertNo(t, "ssid", over)
				if got := gatetest.HeaderValues(v.head, "Cookie"); len(got) != 1 || got[0] != "theme=dark; lang=eo" {
					t.Errorf("the upstream got Cookie: %q", got)
				}
			}
			refused := func(resp *http.Response, body string, status, n int) {
				t.Helper()
				if resp.StatusCode != status {
					t.Errorf("%s %s", resp.Status, body)
				}
				assertTakenAway(t, resp.Header, true)
				c.up.untouched(t, n)
			}
			n := c.up.count()
			resp, _ := c.get("/cookie/x", cookie)
			visited(resp, n)
			n = c.up.count()
			resp, body := c.request("POST", "/cookie/x", cookie, "Content-Length: 0", "Origin: http://"+c.HTTP)
			refused(resp, body, http.StatusUnauthorized, n)
			resp, body = c.request("POST", "/cookie/x", cookie, "Content-Length: 0", "Origin: https://evil.example")
			refused(resp, body, http.StatusUnauthorized, n)
			resp, body = c.get("/cookie-refuse/x", cookie)
			refused(resp, body, http.StatusUnauthorized, n)

			own := []string{cookie, "Origin: http://" + c.HTTP}
			for _, path := range []string{"/cookie/x", "/cookie-refuse/x", "/cookie-allow/x"} {
				n = c.up.count()
				r := gatetest.Dial(t, c.HTTP)
				r.Send(gatetest.Handshake(c.HTTP, path, own...))
				resp, body := r.Response()
				switch {
				case tc.ours: // whatever the route says of visitors, and of bad tokens
					if resp.StatusCode != http.StatusSwitchingProtocols {
						t.Fatalf("%s: %s %s", path, resp.Status, body)
					}
					assertTakenAway(t, resp.Header, true)
					r.ExpectClose(4401)
					c.up.untouched(t, n)
				case path == "/cookie-refuse/x":
					refused(resp, body, http.StatusUnauthorized, n)
				default:
					if resp.StatusCode != http.StatusSwitchingProtocols {
						t.Fatalf("%s: %s %s", path, resp.Status, body)
					}
					assertTakenAway(t, resp.Header, true)
					v := c.up.visit(t, n)
					v.assertNo(t, "ssid")
				}
			}
			// A page of another site learns nothing of anybody's session.
			n = c.up.count()
			r := gatetest.Dial(t, c.HTTP)
			resp = r.Open(c.HTTP, "/cookie/x", cookie, "Origin: https://evil.example")
			assertTakenAway(t, resp.Header, true)
			assertIdentity(t, c.up.visit(t, n).head, "", false)

			// What somebody chose to send counts, and the cookie is not looked at.
			for _, path := range []string{"/cookie/x", "/cookie-refuse/x"} {
				n = c.up.count()
				resp, _ = c.request("POST", path, cookie, bearer(c.bob), "Content-Length: 0")
				assertTakenAway(t, resp.Header, false)
				assertIdentity(t, c.up.visit(t, n).head, "bob", true)
			}
			n = c.up.count()
			resp = gatetest.Dial(t, c.HTTP).Open(c.HTTP, "/cookie/x", cookie, protocols(c.bob))
			assertTakenAway(t, resp.Header, false)
			assertIdentity(t, c.up.visit(t, n).head, "bob", true)

			// Beside one that lives, it is nothing either; and what lives is not taken away with it.
			for _, both := range []string{tc.cookies + "; ssid=" + c.alice, "ssid=" + c.alice + "; " + tc.cookies} {
				if name == "many" {
					continue // where not all are looked at
				}
				n = c.up.count()
				resp, _ = c.request("POST", "/cookie/x", "Cookie: "+both, "Origin: http://"+c.HTTP, "Content-Length: 0")
				assertTakenAway(t, resp.Header, false)
				assertIdentity(t, c.up.visit(t, n).head, "alice", true)
			}
		})
	}
	for _, proto := range []struct {
		name    string
		connect connect
	}{{"h2", connectH2}, {"h3", connectH3}} {
		t.Run("a WebSocket over "+proto.name, func(t *testing.T) {
			n := c.up.count()
			s := proto.connect(t, c.Gateway, "websocket", "/cookie/x", "sec-websocket-version", "13", "cookie", "ssid="+over, "origin", "https://"+c.HTTPS)
			if s.status != http.StatusOK {
				t.Fatalf("status %d", s.status)
			}
			assertTakenAway(t, s.header, true)
			if f := s.frame(t); f.CloseCode() != 4401 {
				t.Errorf("%+v", f)
			}
			c.up.untouched(t, n)
			s = proto.connect(t, c.Gateway, "websocket", "/cookie/x", "sec-websocket-version", "13", "cookie", "ssid=other", "origin", "https://"+c.HTTPS)
			if s.status != http.StatusOK {
				t.Fatalf("status %d", s.status)
			}
			assertTakenAway(t, s.header, true)
			assertIdentity(t, c.up.visit(t, n).head, "", false)
		})
	}
}

// SES-07: of two that live one was planted, and nobody can tell which. None counts, and none is taken away.
func TestSES07TwoLivingCookies(t *testing.T) {
	c := theChat(t)
	cookie := fmt.Sprintf("Cookie: ssid=%s; ssid=%s", c.alice, c.bob)
	n := c.up.count()
	resp, _ := c.get("/cookie/x", cookie)
	assertTakenAway(t, resp.Header, false)
	v := c.up.visit(t, n)
	assertIdentity(t, v.head, "", false)
	v.assertNo(t, c.alice, c.bob)
	n = c.up.count()
	resp, body := c.request("POST", "/cookie-allow/x", cookie, "Origin: http://"+c.HTTP, "Content-Length: 0")
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("POST: %s %s", resp.Status, body)
	}
	assertTakenAway(t, resp.Header, false)
	c.up.untouched(t, n)
	resp, _ = c.request("POST", "/cookie-allow/x", cookie, bearer(c.bob), "Content-Length: 0")
	assertTakenAway(t, resp.Header, false)
	assertIdentity(t, c.up.visit(t, n).head, "bob", true)
}
