package attack

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// behindCaddyfile is a site behind a proxy that ends TLS. The site's name in the requests is the proxy's.
const behindCaddyfile = `{
	{{GLOBAL}}
	servers {
		TRUST
	}
	chatgate {
		accounts sqlite {{DIR}}/accounts.db
		hash {
			memory_kib 1024
			time 1
		}
	}
}

http://{{HTTP}}, http://chat.example.com {
	chatgate_accounts rooms
	chatgate_accounts users
	chatgate_methods /methods {
		origins https://app.example.com
	}
	chatgate_proxy UPSTREAM {
		cookie ssid
	}
}
`

// behind is a gateway behind a proxy, and a member of it.
type behind struct {
	*gatetest.Gateway
	t     *testing.T
	alice string
}

func newBehind(t *testing.T, trust string) *behind {
	up := gatetest.NewUpstream(t, gatetest.EchoWebSocket)
	g := gatetest.Start(t, strings.NewReplacer("TRUST", trust, "UPSTREAM", up.Addr).Replace(behindCaddyfile))
	g.Register("alice", password)
	return &behind{g, t, g.Login("alice", password)}
}

// ask returns the status of a POST to the site under its name.
func (b *behind) ask(path, body string, lines ...string) int {
	b.t.Helper()
	r := gatetest.Dial(b.t, b.HTTP)
	r.Send(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: chat.example.com\r\n%s\r\nContent-Length: %d\r\n\r\n%s", path, strings.Join(lines, "\r\n"), len(body), body))
	resp, _ := r.Response()
	return resp.StatusCode
}

// handshake returns the status of a WebSocket's handshake.
func (b *behind) handshake(path string, lines ...string) int {
	b.t.Helper()
	r := gatetest.Dial(b.t, b.HTTP)
	r.Send(gatetest.Handshake("chat.example.com", path, lines...))
	status, _ := r.TryStatus()
	return status
}

// Every handler judges a page alike, whatever is in front of the site.
func TestPagesBehindAProxy(t *testing.T) {
	const own, https = "Origin: https://chat.example.com", "X-Forwarded-Proto: https"
	form := "username=alice&password=" + password
	pages := []struct {
		name    string
		trusted bool // the proxy is one of trusted_proxies
		lines   []string
		ours    bool
	}{
		{"a proxy ended TLS", true, []string{own, https}, true},
		{"a proxy ended TLS, by wss", true, []string{own, "X-Forwarded-Proto: wss"}, true},
		{"another page behind the proxy", true, []string{"Origin: https://evil.example", https}, false},
		{"the page without TLS", true, []string{"Origin: http://chat.example.com", https}, false},
		{"a proxy that is not trusted", false, []string{own, https}, false},
		{"a page without a referrer", false, []string{"Origin: null", "Sec-Fetch-Site: same-origin"}, true},
		{"another page without a referrer", false, []string{"Origin: null", "Sec-Fetch-Site: cross-site"}, false},
		{"its own page", false, []string{"Origin: http://chat.example.com"}, true},
	}
	for _, trusted := range []bool{true, false} {
		trust := ""
		if trusted {
			trust = "trusted_proxies static 127.0.0.0/8"
		}
		b := newBehind(t, trust)
		for _, p := range pages {
			if p.trusted != trusted {
				continue
			}
			t.Run(p.name, func(t *testing.T) {
				check := func(what string, got, good int) {
					t.Helper()
					want := http.StatusForbidden
					if p.ours {
						want = good
					}
					if got != want {
						t.Errorf("%s: %d, want %d", what, got, want)
					}
				}
				with := func(more ...string) []string { return append(more, p.lines...) }
				cookie := "Cookie: ssid=" + b.alice
				check("users", b.ask("/users/login", form, with("Content-Type: application/x-www-form-urlencoded")...), http.StatusOK)
				check("the proxy", b.ask("/x", "", with(cookie)...), http.StatusOK)
				check("the proxy's WebSocket", b.handshake("/x", with(cookie)...), http.StatusSwitchingProtocols)
				check("methods", b.handshake("/methods", p.lines...), http.StatusSwitchingProtocols)
			})
		}
	}
}

// A refusal of the gate can be read by the pages of its origins, and by no others. What a page may send to the chat, the chat
// says itself: a browser asks without a token, which is refused only where nobody says otherwise.
func TestPreflights(t *testing.T) {
	up := gatetest.NewUpstream(t, gatetest.EchoWebSocket)
	g := gatetest.Start(t, strings.ReplaceAll(`{
	{{GLOBAL}}
	chatgate {
		accounts sqlite {{DIR}}/accounts.db
	}
}

http://{{HTTP}} {
	chatgate_methods /methods {
		origins https://app.example.com null
	}
	chatgate_proxy /closed/* UPSTREAM {
		anonymous refuse
		origins https://app.example.com null
	}
	chatgate_proxy /open/* UPSTREAM {
		anonymous refuse
		preflights pass
		origins https://app.example.com null
	}
}
`, "UPSTREAM", up.Addr))
	ask := func(method, path string, lines ...string) *http.Response {
		t.Helper()
		r := gatetest.Dial(t, g.HTTP)
		r.Send(method + " " + path + " HTTP/1.1\r\nHost: " + g.HTTP + "\r\n" + strings.Join(append(lines, "", ""), "\r\n"))
		resp, _ := r.Response()
		return resp
	}
	preflight := "Access-Control-Request-Method: POST"
	for _, origin := range []struct{ name, credentials string }{{"https://app.example.com", "true"}, {"null", ""}, {"https://evil.example", "-"}} {
		from, may := "Origin: "+origin.name, origin.credentials != "-"
		readable := func(what string, resp *http.Response, status int) {
			t.Helper()
			allowed := resp.Header.Get("Access-Control-Allow-Origin")
			if resp.StatusCode != status || (allowed == origin.name) != may || !may && allowed != "" ||
				may && resp.Header.Get("Access-Control-Allow-Credentials") != origin.credentials || !strings.Contains(resp.Header.Get("Vary"), "Origin") {
				t.Errorf("%s, %s: %s %q, want %d", origin.name, what, resp.Status, resp.Header, status)
			}
		}
		readable("refused", ask(http.MethodGet, "/closed/x", from), http.StatusUnauthorized)
		readable("a bad token", ask(http.MethodGet, "/closed/x", from, "Authorization: Bearer nonsense"), http.StatusUnauthorized)
		readable("a bad path", ask(http.MethodGet, "/closed//x", from), http.StatusBadRequest)
		readable("a preflight that is refused", ask(http.MethodOptions, "/closed/x", from, preflight), http.StatusUnauthorized)
		readable("OPTIONS that is no preflight", ask(http.MethodOptions, "/open/x", from), http.StatusUnauthorized)
		readable("a preflight with a body", ask(http.MethodOptions, "/open/x", from, preflight, "Transfer-Encoding: chunked", "", "0"), http.StatusUnauthorized)
		for what, status := range map[string]int{"no WebSocket": http.StatusUpgradeRequired, "a wrong path": http.StatusNotFound} {
			path := map[string]string{"no WebSocket": "/methods", "a wrong path": "//methods"}[what]
			if !may {
				status = http.StatusForbidden
			}
			readable("methods, "+what, ask(http.MethodGet, path, from), status)
		}
		status := http.StatusNoContent
		if !may {
			status = http.StatusForbidden
		}
		readable("methods, a preflight", ask(http.MethodOptions, "/methods", from, preflight), status)

		n := len(up.Heads())
		if resp := ask(http.MethodOptions, "/open/x", from, preflight); resp.StatusCode != http.StatusOK || resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s, a preflight of the chat's: %s %q", origin.name, resp.Status, resp.Header)
		}
		if head := up.LastHead(t, n); len(gatetest.HeaderValues(head, "Origin")) != 1 || strings.Contains(head, "Remote-") {
			t.Errorf("the chat got %q", head)
		}
	}
}
