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
