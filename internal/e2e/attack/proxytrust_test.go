package attack

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

func TestHDR04ProxyTrust(t *testing.T) {
	shared.Use(t)
	up := newRecorder(t, echo)
	port := gatetest.FreePort(t)
	proxied := fmt.Sprintf("127.0.0.1:%d", port)
	g := gatetest.Start(t, strings.NewReplacer("UPSTREAM", up.Addr, "PORT", fmt.Sprint(port)).Replace(`{
	{{GLOBAL}}
	servers :PORT {
		trusted_proxies static 127.0.0.1/32
		trusted_proxies_strict
	}
	chatgate {
		accounts sqlite
		sessions embedded
		registration open
		issuer https://chat.test
		login_rate 5/1m
	}
}

http://{{HTTP}}, http://127.0.0.1:PORT {
	chatgate_accounts rooms
	chatgate_proxy UPSTREAM
}
`))
	attempt := 0
	login := func(addr string, lines ...string) int {
		t.Helper()
		attempt++ // a new name every time, so that it is the address which runs out
		body := fmt.Sprintf(`{"username":"nobody%d","secret":"wrong-%d-wrong"}`, attempt, attempt)
		r := gatetest.Dial(t, addr)
		defer r.Close()
		r.Send(request("POST", "/api/v1/login", addr, append(lines, "Content-Type: application/json", fmt.Sprintf("Content-Length: %d", len(body)), "Connection: close")...) + body)
		resp, _ := r.Response()
		return resp.StatusCode
	}

	t.Run("login rate of an untrusted peer", func(t *testing.T) {
		limited := 0
		for i := range 30 {
			ip := fmt.Sprintf("203.0.113.%d", i)
			status := login(g.HTTP, "X-Forwarded-For: "+ip, "X-Real-IP: "+ip, "True-Client-IP: "+ip, "Forwarded: for="+ip, "Client-IP: "+ip, "CF-Connecting-IP: "+ip)
			switch {
			case status == http.StatusTooManyRequests:
				limited++
			case i >= 8: // five at once, and one more every twelve seconds
				t.Errorf("attempt %d was answered with %d", i+1, status)
			}
		}
		if limited < 20 {
			t.Errorf("only %d of 30 attempts were limited", limited)
		}
	})
	t.Run("headers of an untrusted peer", func(t *testing.T) {
		n := up.count()
		r := gatetest.Dial(t, g.HTTP)
		r.Send(request("GET", "/x", g.HTTP, "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https",
			"X-Forwarded-Port: 99999", "X-Forwarded-Prefix: /evil", "Forwarded: for=203.0.113.9;host=evil.example", "X-Real-IP: 203.0.113.9", "True-Client-IP: 203.0.113.9"))
		r.Response()
		v := up.visit(t, n)
		v.assertNo(t, "203.0.113.9", "evil", "99999", "x-real-ip", "true-client-ip", "\r\nforwarded:", "x-forwarded-port", "x-forwarded-prefix")
		for name, want := range map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": g.HTTP, "X-Forwarded-Proto": "http"} {
			if got := gatetest.HeaderValues(v.head, name); len(got) != 1 || got[0] != want {
				t.Errorf("%s %q, want %q", name, got, want)
			}
		}
	})
	t.Run("login rate behind a trusted proxy", func(t *testing.T) {
		// The right-most address that is not the proxy's own counts, whatever the client put in front of it.
		for i := range 12 {
			if status := login(proxied, fmt.Sprintf("X-Forwarded-For: 198.51.100.7, 203.0.113.%d, 127.0.0.1", i+1)); status == http.StatusTooManyRequests {
				t.Errorf("client %d was limited for what others did", i+1)
			}
		}
		last := 0
		for i := range 12 {
			last = login(proxied, fmt.Sprintf("X-Forwarded-For: 192.0.2.%d, 203.0.113.200, 127.0.0.1", i+1))
		}
		if last != http.StatusTooManyRequests {
			t.Errorf("a client that invents a chain got %d at its twelfth attempt", last)
		}
		// An address of IPv6 counts by its /64.
		for i := range 12 {
			last = login(proxied, fmt.Sprintf("X-Forwarded-For: 2001:db8:1:2::%x", i+1))
		}
		if last != http.StatusTooManyRequests {
			t.Errorf("a subscriber's twelfth address got %d", last)
		}
	})
	t.Run("identity behind a trusted proxy", func(t *testing.T) {
		n := up.count()
		r := gatetest.Dial(t, proxied)
		r.Send(request("GET", "/x", proxied, "X-Forwarded-For: 203.0.113.9", "X-Real-IP: 203.0.113.9", "Remote-User: "+forged, "X-Forwarded-User: "+forged, "Remote-Access: "+forged))
		r.Response()
		v := up.visit(t, n)
		v.assertNo(t, forged)
		assertIdentity(t, v.head, "", false)
	})
	for _, value := range []string{
		"::ffff:127.0.0.1", "[2001:db8::1]:4711", "fe80::1%eth0", "unknown", "_hidden, 203.0.113.77", ",,,", "999.1.1.1",
		"203.0.113.78:70000", strings.Repeat("203.0.113.79, ", 700) + "203.0.113.79",
	} {
		t.Run(fmt.Sprintf("X-Forwarded-For %.30q", value), func(t *testing.T) {
			switch status := login(proxied, "X-Forwarded-For: "+value); status {
			case http.StatusBadRequest, http.StatusUnauthorized, http.StatusTooManyRequests:
			default:
				t.Errorf("status %d", status)
			}
		})
	}
}
