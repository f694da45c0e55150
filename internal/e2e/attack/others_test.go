package attack

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// Where tokens are looked for in the cookie alone, what stands elsewhere is the chat's own, and reaches it as it was sent.
func TestOthersTokens(t *testing.T) {
	c := theChat(t)
	member := []string{"Cookie: ssid=" + c.alice, "Origin: http://" + c.HTTP}
	for name, line := range map[string]string{
		"the chat's bearer token":        "Authorization: Bearer syt_YWxpY2U_xyz_1",
		"a JWT of the chat's":            "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
		"one behind a protocol":          "Sec-WebSocket-Protocol: v1.chat, base64url.bearer.authorization.chat." + strings.Repeat("a", 64),
		"one that looks like ours":       "Sec-WebSocket-Protocol: eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln, v1.chat",
		"a token of ours that is theirs": "Authorization: Bearer " + c.bob,
	} {
		t.Run(name, func(t *testing.T) {
			field, value, _ := strings.Cut(line, ": ")
			sent := func(n int, user string, websocket bool) {
				t.Helper()
				v := c.up.visit(t, n)
				assertIdentity(t, v.head, user, user != "")
				if got := gatetest.HeaderValues(v.head, field); websocket && fmt.Sprint(got) != "["+value+"]" {
					t.Errorf("the chat got %s %q, want %q", field, got, value)
				}
				v.assertNo(t, "ssid", c.alice)
			}
			n := c.up.count()
			gatetest.Dial(t, c.HTTP).Open(c.HTTP, "/cookie-only/x", append(member, line)...)
			sent(n, "alice", true)
			n = c.up.count()
			gatetest.Dial(t, c.HTTP).Open(c.HTTP, "/cookie-only/x", line)
			sent(n, "", true)
			n = c.up.count()
			if resp, body := c.request("POST", "/cookie-only/x", append(member, line, "Content-Length: 0")...); resp.StatusCode != http.StatusOK {
				t.Fatalf("%s %s", resp.Status, body)
			}
			sent(n, "alice", field == "Authorization")
		})
	}
}

// A path that servers understand differently passes where an upstream needs it, as it was sent, and only that.
func TestOddPaths(t *testing.T) {
	c := theChat(t)
	for path, passes := range map[string]bool{
		"/odd-paths/%21room%3Achat.example%2Fx": true,
		"/odd-paths/a%2Fb;jsessionid=1A2B":      true,
		"/odd-paths/a%3bb":                      true,
		"/odd-paths/a%2f..%2fb":                 false,
		"/odd-paths/..;/b":                      false,
		"/odd-paths/.%3bx/b":                    false,
		"/odd-paths/a%5cb":                      false,
		"/odd-paths//b":                         false,
		"/odd-paths/a%00":                       false,
		"/allow/a%2fb":                          false,
		"/allow/a;jsessionid=1A2B":              false,
	} {
		t.Run(path, func(t *testing.T) {
			n := c.up.count()
			resp, body := c.get(path)
			if !passes {
				if resp.StatusCode != http.StatusBadRequest {
					t.Errorf("%s %s", resp.Status, body)
				}
				c.up.untouched(t, n)
				return
			}
			if v := c.up.visit(t, n); !strings.HasPrefix(v.head, "GET "+path+" HTTP/1.1") {
				t.Errorf("the chat got %.120q", v.head)
			}
		})
	}
}
