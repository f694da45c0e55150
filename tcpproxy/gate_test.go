package tcpproxy

import (
	"bufio"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/mholt/caddy-l4/layer4"
	"github.com/mholt/caddy-l4/modules/l4proxy"
	"go.uber.org/zap"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/internal/authtest"
)

// What comes in the same packet as the login is the upstream's.
func TestHandOver(t *testing.T) {
	for _, overTLS := range []bool{false, true} {
		service := newService(t)
		up := newUpstream(t)
		r := start(t, service, &Line{Proxy: up.proxy()}, overTLS)
		big := strings.Repeat("payload \x00\xff\r\n", 10_000)

		c := r.dial()
		go func() { _, _ = io.WriteString(c, loginLine("alice", password)+big) }()
		u := up.accept()
		g := c.granted()
		u.takes(big)
		u.send("welcome\n")
		c.takes("welcome\n")
		if n := authtest.State(service).Live().Connections(); n != 1 {
			t.Errorf("%d live connections", n)
		}
		if n := strangers.Of("127.0.0.1"); n != 0 {
			t.Errorf("%d strangers", n)
		}
		c.send("one more line that is no request\n")
		u.takes("one more line that is no request\n")

		// The token brings in another, in pieces, in a packet of its own.
		d := r.dial()
		for _, b := range strings.SplitAfter("token t:"+g.Token+"\n", "") {
			d.send(b)
		}
		v := up.accept()
		d.takes("ok\n")
		d.send("x")
		v.takes("x")
		d.Close()
		if got := v.cut(); got != "" {
			t.Errorf("got %q", got)
		}
		v.Close()

		// Half-closed, either side goes on.
		c.closeWrite()
		u.ended()
		u.send("but wait\n")
		c.takes("but wait\n")
		u.closeWrite()
		c.ended()
	}
}

// A logout anywhere closes what hangs on the session, and only that.
func TestLogoutCloses(t *testing.T) {
	service := newService(t)
	up := newUpstream(t)
	r := start(t, service, &Line{Proxy: up.proxy()}, true)
	var clients, chats []*peer
	var ids []authcore.Identity
	for range 3 {
		c := r.dial()
		c.send(loginLine("alice", password))
		chats = append(chats, up.accept())
		id, err := service.Authenticate(t.Context(), authcore.UnverifiedToken(c.granted().Token))
		if err != nil {
			t.Fatal(err)
		}
		clients, ids = append(clients, c), append(ids, id.Identity)
	}
	receipt, err := service.Logout(t.Context(), authcore.Actor{Identity: ids[0]})
	if err != nil || receipt.Closed != 1 {
		t.Fatalf("%+v, %v", receipt, err)
	}
	clients[0].cut()
	chats[0].cut()
	clients[1].send("still here")
	chats[1].takes("still here")
	if receipt, err = service.LogoutAll(t.Context(), authcore.Actor{}, ids[0].Account, ""); err != nil || receipt.Closed != 2 {
		t.Fatalf("%+v, %v", receipt, err)
	}
	for i := range clients {
		clients[i].cut()
		chats[i].cut()
	}
	// Of a session that is over, nothing reaches the upstream.
	c := r.dial()
	c.send(loginLine("alice", password))
	u := up.accept()
	g := c.granted()
	c.Close()
	u.cut()
	id, _ := service.Authenticate(t.Context(), authcore.UnverifiedToken(g.Token))
	_, _ = service.Logout(t.Context(), authcore.Actor{Identity: id.Identity})
	c = r.dial()
	c.send("token t:" + g.Token + "\n")
	c.takes("nop badtoken\n")
}

// The end of a configuration is none of a connection's business.
func TestOutlivesItsConfiguration(t *testing.T) {
	service := newService(t)
	up := newUpstream(t)
	r := start(t, service, &Line{Proxy: up.proxy()}, true)
	c, half := r.dial(), r.dial()
	c.send(loginLine("alice", password))
	u := up.accept()
	c.granted()
	half.send("login u:alice ")
	r.cancel()
	if err := r.line.Cleanup(); err != nil {
		t.Fatal(err)
	}
	r.line.provisioned = false
	c.send("hello")
	u.takes("hello")
	half.send("p:\"" + password + "\"\n")
	half.granted()
	up.accept()
}

func TestShutdownAndExpiry(t *testing.T) {
	service := newService(t)
	up := newUpstream(t)
	short := func(r *rig) { r.line.TokenLifetime = 2e9 } // shorter than can be configured
	r := start(t, service, &Line{Proxy: up.proxy(), Expiry: expiryToken}, false, short)
	c := r.dial()
	c.send(loginLine("alice", password))
	up.accept()
	c.granted()
	c.cut() // at the token's end

	service = newService(t)
	r = start(t, service, &Line{Proxy: up.proxy()}, false)
	c = r.dial()
	c.send(loginLine("alice", password))
	u := up.accept()
	c.granted()
	authtest.State(service).Live().EndAll(t.Context(), 0)
	c.cut()
	u.cut()
	c = r.dial()
	c.send(loginLine("alice", password))
	c.takes("nop unavailable\n")
	up.accept().ended()
}

func TestVisitors(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		up := newUpstream(t)
		r := start(t, newService(t), &Line{Proxy: up.proxy()}, false)
		c := r.dial()
		c.send("visit\nhello")
		c.takes("nop syntax:\n")
		c.ended()
	})
	t.Run("dropped", func(t *testing.T) {
		up := newUpstream(t)
		r := start(t, newService(t), &Line{Proxy: up.proxy(), Anonymous: anonymousDrop}, true)
		c := r.dial()
		c.send("visit\r\nlet me in\n")
		u := up.accept()
		c.takes("ok\n")
		c.send("let me write\n")
		u.send("news\n")
		c.takes("news\n")
		c.closeWrite()
		u.ended()
		u.Close()
		c.ended()
	})
	t.Run("counted", func(t *testing.T) { // by address, as there is nothing else
		up := newUpstream(t)
		r := start(t, newService(t), &Line{Proxy: up.proxy(), Anonymous: anonymousDrop, PerAddress: 1}, true)
		c := r.dial()
		c.send("visit\n")
		c.takes("ok\n")
		d := r.dial()
		d.takes("nop ratelimited\n")
		d.ended()
		c.Close()
		up.accept().Close()
		eventually(t, "a free place", func() bool { return strangers.Of("127.0.0.1") == 0 })
		c = r.dial()
		c.send(loginLine("alice", password)) // who is known takes no place of a stranger
		c.granted()
		up.accept()
		eventually(t, "a free place", func() bool { return strangers.Of("127.0.0.1") == 0 })
		c = r.dial()
		c.send("visit\n")
		c.takes("ok\n")
		up.accept()
	})
	t.Run("cut", func(t *testing.T) {
		up := newUpstream(t)
		r := start(t, newService(t), &Line{Proxy: up.proxy(), Anonymous: anonymousCut}, true)
		c := r.dial()
		c.send("visit\n")
		u := up.accept()
		c.takes("ok\n")
		u.send("news\n")
		c.takes("news\n")
		c.send("let me write\n")
		c.cut()
		if got := u.cut(); got != "" {
			t.Errorf("the upstream got %q", got)
		}
	})
}

// Nothing was said to the client, and nothing is left of the session that was begun in vain.
func TestUpstreamDown(t *testing.T) {
	service := newService(t)
	up := newUpstream(t)
	r := start(t, service, &Line{Proxy: up.proxy()}, false)
	up.ln.Close()
	c := r.dial()
	c.send(loginLine("alice", password))
	c.takes("nop unavailable\n")
	a, err := authtest.Stores(service).Accounts.AccountByUsername(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if all, err := service.ListSessions(t.Context(), authcore.Identity{Account: a.ID}); err != nil || len(all) != 0 {
		t.Errorf("%d sessions, %v", len(all), err)
	}
}

func TestPerAccount(t *testing.T) {
	up := newUpstream(t)
	r := start(t, newService(t), &Line{Proxy: up.proxy(), PerAccount: 1}, false)
	c := r.dial()
	c.send(loginLine("alice", password))
	up.accept()
	c.granted()
	d := r.dial()
	d.send(loginLine("alice", password))
	d.takes("nop ratelimited\n")
}

func TestTLSUpstream(t *testing.T) {
	up := newUpstream(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: testCert().Certificate[0]}), 0o600); err != nil {
		t.Fatal(err)
	}
	p := up.proxy()
	pool := map[string]any{"provider": "file", "pem_files": []string{ca}}
	p.Upstreams[0].TLS = &reverseproxy.TLSConfig{CARaw: caddyconfig.JSON(pool, nil), ServerName: "localhost"}
	r := start(t, newService(t), &Line{Proxy: p, FirstLines: []string{"NICK {user.name}"}}, true)
	c := r.dial()
	c.send(loginLine("alice", password) + "early")
	u := up.accept()
	u.Conn = tls.Server(u.Conn, &tls.Config{Certificates: []tls.Certificate{testCert()}})
	u.br = bufio.NewReader(u.Conn)
	u.takes("NICK alice\r\nearly")
	c.granted()
	u.closeWrite()
	c.ended()
	c.Close()
	u.Close()
	eventually(t, "the end of the first", func() bool { return r.handled.Load() == 0 })

	bad := up.proxy()
	bad.Upstreams[0].TLS = &reverseproxy.TLSConfig{CARaw: caddyconfig.JSON(pool, nil), ServerName: "other.example"}
	r = start(t, newService(t), &Line{Proxy: bad, FirstLines: []string{"PASS secret"}}, true)
	c = r.dial()
	c.send(loginLine("alice", password))
	u = up.accept()
	s := tls.Server(u.Conn, &tls.Config{Certificates: []tls.Certificate{testCert()}})
	if err := s.Handshake(); err == nil {
		if b, _ := io.ReadAll(s); len(b) > 0 {
			t.Errorf("a stranger was told %q", b)
		}
	}
	c.takes("nop unavailable\n")
}

func TestManyUpstreams(t *testing.T) {
	pool := func(us ...*upstream) *l4proxy.Handler {
		h := new(l4proxy.Handler)
		for _, u := range us {
			h.Upstreams = append(h.Upstreams, u.proxy().Upstreams...)
		}
		return h
	}
	policy := func(h *l4proxy.Handler, name string) *l4proxy.Handler {
		h.LoadBalancing = &l4proxy.LoadBalancing{SelectionPolicyRaw: caddyconfig.JSON(map[string]string{"policy": name}, nil)}
		return h
	}
	enter := func(r *rig) *peer {
		c := r.dial()
		c.send(loginLine("alice", password))
		return c
	}
	t.Run("least_conn", func(t *testing.T) {
		a, b := newUpstream(t), newUpstream(t)
		r := start(t, newService(t), &Line{Proxy: policy(pool(a, b), "least_conn")}, false)
		for range 4 { // two each
			enter(r).granted()
		}
		a.accept()
		a.accept()
		b.accept()
		b.accept()
	})
	t.Run("max_connections", func(t *testing.T) {
		a, b := newUpstream(t), newUpstream(t)
		p := policy(pool(a, b), "first")
		p.Upstreams[0].MaxConnections, p.Upstreams[1].MaxConnections = 1, 1
		r := start(t, newService(t), &Line{Proxy: p}, false)
		enter(r).granted()
		ua := a.accept()
		enter(r).granted()
		b.accept()
		enter(r).takes("nop unavailable\n")
		ua.Close()
		eventually(t, "room", func() bool { return connections.Of(a.ln.Addr().String()) <= 1 })
	})
	t.Run("passive health", func(t *testing.T) {
		b, gone := newUpstream(t), newUpstream(t)
		gone.ln.Close()
		p := policy(pool(gone, b), "first")
		p.LoadBalancing.TryDuration, p.LoadBalancing.TryInterval = 10e9, 1e6
		p.HealthChecks = &l4proxy.HealthChecks{Passive: &l4proxy.PassiveHealthChecks{FailDuration: 2e9}}
		r := start(t, newService(t), &Line{Proxy: p}, false)
		enter(r).granted()
		b.accept()
		if n := failures.Of(gone.ln.Addr().String()); n != 1 {
			t.Errorf("%d failures", n)
		}
		eventually(t, "that the failure is forgotten", func() bool { return failures.Of(gone.ln.Addr().String()) == 0 })
	})
}

// A client that goes while its upstream is dialled leaves nothing behind.
func TestGoneBeforeOK(t *testing.T) {
	up := newUpstream(t)
	r := start(t, newService(t), &Line{Proxy: up.proxy()}, true)
	for range 10 {
		c := r.dial()
		c.send(loginLine("alice", password))
		tcp := c.Conn.(*tls.Conn).NetConn().(*net.TCPConn)
		_ = tcp.SetLinger(0)
		tcp.Close()
	}
	go func() {
		for {
			c, err := up.ln.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(io.Discard, c)
				c.Close()
			}()
		}
	}()
}

// What caddy-l4 has read to choose a route, beyond what a line takes, is the upstream's as well.
func TestPrefetched(t *testing.T) {
	up := newUpstream(t)
	r := start(t, newService(t), &Line{Proxy: up.proxy()}, false)
	client, server := net.Pipe()
	big := strings.Repeat("payload\n", 1000)
	done := make(chan error, 1)
	go func() {
		done <- r.line.Handle(layer4.WrapConnection(server, []byte(loginLine("alice", password)+big), zap.NewNop()), nil)
	}()
	c := newPeer(t, client)
	u := up.accept()
	c.granted()
	u.takes(big)
	c.send("more")
	u.takes("more")
	u.Close()
	c.ended() // a pipe has no half to be closed
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// The time of a line ends with the line.
func TestQuietAfterHandOver(t *testing.T) {
	up := newUpstream(t)
	r := start(t, newService(t), &Line{Proxy: up.proxy(), LineTimeout: 1e9}, true)
	c := r.dial()
	c.send(loginLine("alice", password))
	u := up.accept()
	c.granted()
	_ = c.SetReadDeadline(time.Now().Add(1500 * time.Millisecond))
	if b, err := c.br.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %q, %v", b, err)
	}
	c.send("hello")
	u.takes("hello")
}
