package upstreams

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

func two(t testing.TB) (a, b *room) {
	return newRoom(t, "a", nil, false), newRoom(t, "b", nil, false)
}

func spread(t testing.TB, wantA, wantB int, a, b *room) {
	t.Helper()
	gatetest.Eventually(t, fmt.Sprintf("%d and %d sockets", wantA, wantB), func() bool { return a.conns() == wantA && b.conns() == wantB })
}

func TestRoundRobin(t *testing.T) {
	t.Parallel()
	a, b := two(t)
	g, tok := gate(t, a.addr()+" "+b.addr()+` {
		lb_policy round_robin
	}`)
	for range 10 {
		g.WebSocket(path, tok).Echo("hello")
	}
	spread(t, 5, 5, a, b)
}

// A WebSocket counts for as long as it is open, though its request is over at once.
func TestLeastConn(t *testing.T) {
	t.Parallel()
	a, b := two(t)
	g, tok := gate(t, a.addr()+" "+b.addr()+` {
		lb_policy least_conn
	}`)
	of := make(map[string][]*gatetest.Raw)
	open := func() {
		t.Helper()
		c, resp, body := try(t, g, path, tok)
		if resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("%s %s", resp.Status, body)
		}
		of[resp.Header.Get("X-Room")] = append(of[resp.Header.Get("X-Room")], c)
	}
	for range 10 {
		open()
	}
	spread(t, 5, 5, a, b)
	for _, c := range of["a"][:4] {
		c.SendFrame(gatetest.Frame{Fin: true, Op: 8, Payload: []byte{3, 232}})
		c.ExpectClose(1000)
		c.Close()
	}
	spread(t, 1, 5, a, b)
	gatetest.Eventually(t, "the end of four relays", func() bool { return relays(g) == 6 })
	for range 4 {
		open()
	}
	spread(t, 5, 5, a, b)
	for _, c := range append(of["a"], of["b"]...)[4:] {
		c.Echo("still here")
	}
}

// relays returns how many relays the gateway has, by its goroutines.
func relays(g *gatetest.Gateway) int {
	pumps, n := 0, 0
	for _, line := range strings.Split(g.Goroutines(), "\n") {
		if count, _, ok := strings.Cut(line, " @ "); ok {
			n, _ = strconv.Atoi(count)
		}
		if strings.Contains(line, "chatroom/relay.(*pump).run+") {
			pumps += n
		}
	}
	return pumps / 2
}

func TestUnhealthyRequestCount(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"round_robin", "least_conn", "random", "first", "ip_hash"} {
		t.Run(policy, func(t *testing.T) {
			a, b := two(t)
			g, tok := gate(t, a.addr()+" "+b.addr()+` {
				lb_policy `+policy+`
				unhealthy_request_count 2
			}`)
			var all []*gatetest.Raw
			for range 4 {
				all = append(all, g.WebSocket(path, tok))
			}
			spread(t, 2, 2, a, b)
			if _, resp, body := try(t, g, path, tok); resp.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("a fifth socket: %s %s", resp.Status, body)
			}
			all[0].SendFrame(gatetest.Frame{Fin: true, Op: 8, Payload: []byte{3, 232}})
			all[0].ExpectClose(1000)
			all[0].Close()
			gatetest.Eventually(t, "room for another", func() bool {
				_, resp, _ := try(t, g, path, tok)
				return resp.StatusCode == http.StatusSwitchingProtocols
			})
			spread(t, 2, 2, a, b)
			for _, c := range all[1:] {
				c.Echo("still here")
			}
		})
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	r := newRoom(t, "live", nil, false)
	dead := fmt.Sprintf("127.0.0.1:%d", gatetest.FreePort(t))
	g, tok := gate(t, dead+" "+r.addr()+` {
		lb_policy round_robin
		lb_retries 3
	}`)
	for range 6 {
		g.WebSocket(path, tok).Echo("hello")
	}
	spread(t, 6, 6, r, r)
	for range 4 {
		if resp, _ := send(t, g, http.MethodGet, "/page", tok, nil); resp.StatusCode != http.StatusOK {
			t.Errorf("a page: %s", resp.Status)
		}
	}
}

// An upstream that fails is left alone for a while (passive health), the other is not.
func TestPassiveHealth(t *testing.T) {
	t.Parallel()
	r := newRoom(t, "live", nil, false)
	dead := fmt.Sprintf("127.0.0.1:%d", gatetest.FreePort(t))
	g, tok := gate(t, dead+" "+r.addr()+` {
		lb_policy first
		fail_duration 10m
	}`)
	if _, resp, _ := try(t, g, path, tok); resp.StatusCode != http.StatusBadGateway {
		t.Errorf("the first: %s", resp.Status)
	}
	gatetest.Eventually(t, "the dead upstream to be left out", func() bool {
		_, resp, _ := try(t, g, path, tok)
		return resp.StatusCode == http.StatusSwitchingProtocols
	})
	for range 5 {
		g.WebSocket(path, tok).Echo("hello")
	}
}

func TestActiveHealth(t *testing.T) {
	t.Parallel()
	a, b := two(t)
	g, tok := gate(t, a.addr()+" "+b.addr()+` {
		lb_policy first
		health_uri /health
		health_interval 100ms
		health_timeout 10s
	}`)
	c, resp, _ := try(t, g, path, tok)
	if resp.Header.Get("X-Room") != "a" {
		t.Fatalf("first of two healthy ones: %s %v", resp.Status, resp.Header)
	}
	set := func(ill bool, want string) {
		t.Helper()
		a.mu.Lock()
		a.ill = ill
		a.mu.Unlock()
		gatetest.Eventually(t, "sockets to go to "+want, func() bool {
			c, resp, _ := try(t, g, path, tok)
			c.Close()
			return resp.StatusCode == http.StatusSwitchingProtocols && resp.Header.Get("X-Room") == want
		})
		for range 5 {
			if _, resp, _ := try(t, g, path, tok); resp.Header.Get("X-Room") != want {
				t.Errorf("went to %s, want %s", resp.Header.Get("X-Room"), want)
			}
		}
	}
	set(true, "b")
	c.Echo("what is open goes on")
	set(false, "a")
	c.Echo("and on")
}

// What is asked over TLS is asked for its health over TLS.
func TestActiveHealthOverTLS(t *testing.T) {
	t.Parallel()
	r := newRoom(t, "tls", nil, true)
	g, tok := gate(t, "https://"+r.addr()+` {
		health_uri /health
		health_interval 100ms
		health_timeout 10s
		transport http {
			tls_insecure_skip_verify
		}
	}`)
	gatetest.Eventually(t, "health checks", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.checks > 2
	})
	g.WebSocket(path, tok).Echo("hello")
}

func TestDynamicUpstreams(t *testing.T) {
	t.Parallel()
	r := newRoom(t, "dynamic", nil, false)
	_, port, _ := net.SplitHostPort(r.addr())
	g, tok := gate(t, `{
		dynamic a {
			name localhost
			port `+port+`
			versions ipv4
			refresh 1s
		}
		lb_policy least_conn
	}`)
	bothWays(t, g, tok)
	if resp, _ := send(t, g, http.MethodGet, "/missing", tok, nil); resp.Header.Get("X-Room") != "dynamic" {
		t.Errorf("%s", resp.Status)
	}
}
