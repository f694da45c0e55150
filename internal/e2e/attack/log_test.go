package attack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

func TestCFG03PlaceholdersAreText(t *testing.T) {
	c := theChat(t)
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	root, _, _ := strings.Cut(string(passwd), "\n")
	secrets := []string{c.Dir, root, c.alice, "Bearer"}
	clean := func(t *testing.T, what, s string) {
		t.Helper()
		for _, secret := range secrets {
			if strings.Contains(s, secret) {
				t.Errorf("%s was expanded: %s", what, s)
			}
		}
	}
	for _, placeholder := range []string{
		"{env.HOME}", "{$HOME}", "{file./etc/passwd}", "{http.request.header.Authorization}", "{http.request.header.Sec-WebSocket-Protocol}",
		"{http.auth.user.id}", "{system.wd}", "{http.vars.root}", "{{env.HOME}}", "\\{env.HOME}",
	} {
		t.Run(placeholder, func(t *testing.T) {
			for _, path := range []string{"/api/v1/users", "/api/v1/login"} {
				body, _ := json.Marshal(map[string]string{"username": placeholder, "secret": password})
				status, _, answer := c.Call(http.MethodPost, path, c.alice, string(body))
				if status != http.StatusBadRequest && status != http.StatusTooManyRequests { // names that cannot be share a budget
					t.Errorf("%s as a username: %d %s", path, status, answer)
				}
				clean(t, path, answer)
			}
			escaped := strings.NewReplacer("{", "%7B", "}", "%7D", "\\", "", "$", "%24", "/", "_").Replace(placeholder)
			for _, target := range []string{"/copy/" + escaped, "/copy/x?q=" + escaped, "/copy/x?" + strings.ReplaceAll(placeholder, "\\", "")} {
				for _, upgrade := range []bool{false, true} {
					n := c.up.count()
					r := gatetest.Dial(t, c.HTTP)
					lines := []string{bearer(c.alice), "X-Note: " + placeholder, "User-Agent: " + placeholder, "Cookie: a=" + placeholder}
					if upgrade {
						r.Open(c.HTTP, target, lines...)
					} else {
						r.Send(request("GET", target, c.HTTP, lines...))
						if resp, body := r.Response(); resp.StatusCode != http.StatusOK {
							t.Fatalf("%s %s", resp.Status, body)
						}
					}
					v := c.up.visit(t, n)
					clean(t, target, v.head)
					if v.target() != target {
						t.Errorf("the upstream got %q, want %q", v.target(), target)
					}
					for _, h := range []string{"X-Note", "X-Copy", "User-Agent"} {
						if got := gatetest.HeaderValues(v.head, h); len(got) != 1 || got[0] != placeholder {
							t.Errorf("%s %q, want %q", h, got, placeholder)
						}
					}
				}
			}
			// No subprotocol has braces in it.
			n := c.up.count()
			r := gatetest.Dial(t, c.HTTP)
			r.Send(gatetest.Handshake(c.HTTP, "/copy/x", bearer(c.alice), protocols(placeholder)))
			resp, body := r.Response()
			if resp.StatusCode != http.StatusBadRequest {
				t.Errorf("as a subprotocol: %s %s", resp.Status, body)
			}
			clean(t, "subprotocol", body)
			r = gatetest.Dial(t, c.HTTP)
			r.Send(gatetest.Handshake(c.HTTP, "/x", bearer(placeholder)))
			resp, body = r.Response()
			assertTokenInvalid(t, "as a token", resp, body)
			clean(t, "token", body)
			c.up.untouched(t, n)
		})
	}
}

func TestCFG03LineBreaks(t *testing.T) {
	c := theChat(t)
	for _, target := range []string{"/x%0d%0aRemote-User:%20root", "/x%0aRemote-User:root", "/x%00", "/x\rRemote-User:root", "/x\x00", "/x?a=b\rc"} {
		t.Run(fmt.Sprintf("%q", target), func(t *testing.T) {
			n := c.up.count()
			r := gatetest.Dial(t, c.HTTP)
			r.Send(gatetest.Handshake(c.HTTP, target, bearer(c.alice)))
			if status, body := r.TryStatus(); status != http.StatusBadRequest {
				t.Errorf("%d %s", status, body)
			}
			c.up.untouched(t, n)
		})
	}
	t.Run("query", func(t *testing.T) {
		n := c.up.count()
		target := "/x?a=%0d%0aRemote-User:%20root"
		c.get(target, bearer(c.alice))
		v := c.up.visit(t, n)
		if v.target() != target {
			t.Errorf("the upstream got %q", v.target())
		}
		assertIdentity(t, v.head, "alice", true)
	})
	for _, line := range []string{"X-Note: a\rRemote-User: root", "X-Note: a\x00b", "X-Note: a\n Remote-User: root", "Sec-WebSocket-Protocol: a\rb", "Sec-WebSocket-Protocol: a%0d%0ab\x01", "User-Agent: \x00"} {
		t.Run(fmt.Sprintf("%q", line), func(t *testing.T) {
			n := c.up.count()
			r := gatetest.Dial(t, c.HTTP)
			r.Send(gatetest.Handshake(c.HTTP, "/x", bearer(c.alice), line))
			switch status, body := r.TryStatus(); status {
			case http.StatusBadRequest:
				c.up.untouched(t, n)
			case http.StatusSwitchingProtocols: // folded into one value
				assertIdentity(t, c.up.visit(t, n).head, "alice", true)
			default:
				t.Errorf("%d %s", status, body)
			}
		})
	}
	for _, name := range []string{"al\r\nice", "al\nice", "al\u2028ice", "al\x00ice", "alice\r\nRemote-Access: read-write"} {
		t.Run(fmt.Sprintf("username %q", name), func(t *testing.T) {
			body, _ := json.Marshal(map[string]string{"username": name, "secret": password})
			if status, _, answer := c.Call(http.MethodPost, "/api/v1/users", "", string(body)); status != http.StatusBadRequest || !strings.Contains(answer, `"BAD_BINDING"`) {
				t.Errorf("%d %s", status, answer)
			}
		})
	}
}

func TestCFG04LogsHaveNoSecrets(t *testing.T) {
	shared.Use(t)
	up := newRecorder(t, echo)
	g := gatetest.Start(t, strings.NewReplacer("UPSTREAM", up.Addr, "DEAD", fmt.Sprintf("127.0.0.1:%d", gatetest.FreePort(t))).Replace(`{
	{{GLOBAL}}
	debug
	log {
		format chatgate_redact {
			wrap console
		}
	}
	chatgate {
		accounts sqlite
		sessions embedded
		registration open
		issuer https://chat.test
	}
}

http://{{HTTP}} {
	log {
		output stderr
		format chatgate_redact
	}
	chatgate_accounts rooms
	chatgate_proxy UPSTREAM {
		cookie ssid
		query token
	}
	chatgate_proxy /dead/* DEAD {
		cookie ssid
		query token
	}
}
`))
	const wrong = "wr0ng-Passw0rd-of-alice"
	g.Register("alice", password)
	token := g.Login("alice", password)
	bad := tamper(token)
	body := fmt.Sprintf(`{"username":"alice","secret":%q}`, wrong)
	if status, _, answer := g.Call(http.MethodPost, "/api/v1/login", "", body); status != http.StatusUnauthorized {
		t.Fatalf("login: %d %s", status, answer)
	}
	g.Call(http.MethodPost, "/api/v1/login", "", body[:len(body)-1]) // broken JSON

	for _, path := range []string{"/x", "/dead/x", "/api/v1/login", "/api/v1/logout", "/nowhere"} {
		for _, tok := range []string{token, bad} {
			for _, tc := range []struct {
				query string
				lines []string
			}{
				{"", []string{bearer(tok)}},
				{"?token=" + tok, nil},
				{"?a=1&token=" + tok + "&b=2", nil},
				{"", []string{protocols(tok)}},
				{"", []string{protocols(tok, "chat.v1")}},
				{"", []string{protocols("chat.v1", tok)}},
				{"", []string{"Cookie: ssid=" + tok + "; theme=dark", "Origin: http://" + g.HTTP}},
				{"?token=" + tok, []string{bearer(tok), protocols(tok), "Cookie: ssid=" + tok}},
				{"?ticket=" + tok, []string{"Referer: http://" + g.HTTP + "/?token=" + tok, "X-Token: " + tok, "User-Agent: bot " + tok, "Authorization: Token " + tok}},
				{"/" + tok, nil},
			} {
				if path == "/api/v1/logout" && tok == token {
					continue // it is needed for the rest
				}
				for _, upgrade := range []bool{false, true} {
					r := gatetest.Dial(t, g.HTTP)
					if upgrade {
						r.Send(gatetest.Handshake(g.HTTP, path+tc.query, tc.lines...))
					} else {
						r.Send(request("GET", path+tc.query, g.HTTP, tc.lines...))
					}
					resp, _ := r.Response()
					if resp.StatusCode == http.StatusSwitchingProtocols {
						r.SendFrame(gatetest.Frame{Fin: true, Op: 8, Payload: []byte{3, 232}})
						r.ExpectClose(1000)
					}
					r.Close()
				}
			}
		}
	}
	marker := "/the-last-request"
	g.Call(http.MethodGet, marker, token, "")
	gatetest.Eventually(t, "the access log", func() bool { return strings.Contains(g.Log(), marker) })
	log := g.Log()
	for _, sign := range []string{"handled request", "upstream roundtrip", `"status":502`, "/dead/x", "[token]", "Sec-Websocket-Protocol"} {
		if !strings.Contains(log, sign) {
			t.Errorf("the log has no %q; this proves nothing", sign)
		}
	}
	parts, badParts := strings.Split(token, "."), strings.Split(bad, ".")
	for what, secret := range map[string]string{
		"the token": token, "its payload": parts[1], "its signature": parts[2], "the end of it": parts[2][len(parts[2])-16:], "the middle": parts[1][40:60],
		"a bad token's signature": badParts[2], "the password": password, "a wrong password": wrong,
	} {
		if i := strings.Index(log, secret); i >= 0 {
			start := strings.LastIndexByte(log[:i], '\n') + 1
			line, _, _ := strings.Cut(log[start:], "\n")
			t.Errorf("%s is in the log:\n%.1500s", what, line)
		}
	}
}
