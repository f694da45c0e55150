package tcpproxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mholt/caddy-l4/layer4"
	"go.uber.org/zap"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/tcpproxy/line"
)

func TestEveryVerbDoesSomething(t *testing.T) {
	for _, v := range line.Verbs() {
		if verbs[v] == nil {
			t.Errorf("%s does nothing", v)
		}
	}
}

func TestAccountsOverLines(t *testing.T) {
	for _, overTLS := range []bool{false, true} {
		service := newService(t)
		r := start(t, service, &Line{Tries: 100}, overTLS)
		c := r.dial()
		before := time.Now()
		c.send("login u:alice p:\"" + password + "\"\r\n")
		g := c.granted()
		if d := g.Expires.Sub(before); d < 59*time.Minute || d > 61*time.Minute {
			t.Errorf("the token is good for %v", d)
		}
		id, err := service.Authenticate(t.Context(), authcore.UnverifiedToken(g.Token))
		if err != nil || id.Username != "alice" || !id.Expires.Equal(g.Expires) {
			t.Errorf("the token is of %q until %v, %v; told %v", id.Username, id.Expires, err, g.Expires)
		}
		c.send(loginLine("ALICE@example.com", password))
		c.granted()
		c.send("token t:" + g.Token + "\n")
		c.takes("ok\n")
		for _, x := range []struct{ send, want string }{
			{loginLine("alice", "another password"), "nop credentials\n"},
			{loginLine("nobody", password), "nop credentials\n"},
			{loginLine("nobody@example.com", password), "nop credentials\n"},
			{loginLine("a/b\\c", password), "nop credentials\n"},
			{"token t:nonsense\n", "nop badtoken\n"},
			{"login u:alice\n", "nop syntax:p\n"},
			{"login u:alice u:bob p:x\n", "nop syntax:u\n"},
			{"what u:alice\n", "nop syntax:\n"},
			{"visit\n", "nop syntax:\n"},
		} {
			c.send(x.send)
			c.takes(x.want)
		}
		if _, err := service.LogoutAll(t.Context(), authcore.Actor{}, id.Account, ""); err != nil {
			t.Fatal(err)
		}
		c.send("token t:" + g.Token + "\n")
		c.takes("nop badtoken\n")
		if _, err := service.Disable(t.Context(), authcore.Actor{}, id.Account); err != nil {
			t.Fatal(err)
		}
		c.send(loginLine("alice", password))
		c.takes("nop disabled\n")
		c.send("\n")
		c.takes("nop syntax:\n")
		c.closeWrite()
		c.ended()
	}
}

// A first line that is another protocol's is refused and closed, whatever follows; LIN-03.
func TestOtherProtocols(t *testing.T) {
	r := start(t, newService(t), &Line{}, false)
	for _, first := range []string{
		"POST / HTTP/1.1\r\nHost: x\r\n\r\n" + loginLine("alice", password), "GET / HTTP/1.0\r\n", "SSH-2.0-x\r\n", "EHLO x\r\n",
		"\x16\x03\x01\x02\x00\x01\x00", "login\x00", "\xff\xfe\n", "\n", "\xef\xbb\xbflogin u:a p:b\n",
	} {
		c := r.dial()
		c.send(first)
		c.takes("nop syntax:\n")
		c.ended()
	}
}

func TestTries(t *testing.T) {
	service := newService(t)
	r := start(t, service, &Line{}, true)

	c := r.dial()
	c.send(strings.Repeat(loginLine("alice", "wrong"), 1000))
	c.takes(strings.Repeat("nop credentials\n", 3))
	c.ended()

	c = r.dial() // what is between them that succeeds changes nothing
	c.send(strings.Repeat(loginLine("bob", "wrong")+loginLine("nobody", "x")+"login\n", 2))
	c.takes("nop credentials\nnop credentials\nnop syntax:p,u\n")
	c.ended()
}

func TestRequests(t *testing.T) {
	r := start(t, newService(t), &Line{Requests: 4}, false)
	c := r.dial()
	for range 4 {
		c.send(loginLine("alice", password))
		c.granted()
	}
	c.ended()
}

// One account has one budget over every connection; the limit is told, not the account.
func TestSharedBudget(t *testing.T) {
	service := newService(t, func(p *authcore.Policy) { p.Backoff = authcore.Backoff{Free: 2, Base: time.Hour, Max: time.Hour} })
	r := start(t, service, &Line{}, false)
	for _, want := range []string{"credentials", "credentials", "ratelimited"} {
		c := r.dial()
		c.send(loginLine("alice", "wrong"))
		c.takes("nop " + want + "\n")
		c.Close()
	}
}

func TestUnavailable(t *testing.T) {
	r := start(t, newService(t), &Line{}, false, func(r *rig) { r.app.err = errors.New("the database SECRET is down") })
	c := r.dial()
	c.send(loginLine("alice", password))
	c.takes("nop unavailable\n")
	c.Close()

	r = start(t, newService(t), &Line{}, false) // which has no way to send an SMS
	c = r.dial()
	c.send("register u:bob p:0123456789 n:+4915112345678\nvalidatephone p:+4915112345678 c:123456\n")
	if got := c.readLine(); got != "nop unavailable" {
		t.Error(got)
	}
	if got := c.readLine(); got != "nop invalidnumber" {
		t.Error(got)
	}
	c.Close()
}

// A line has a time in total, however its bytes are spread; LIN-05.
func TestSlowLines(t *testing.T) {
	const limit = time.Second
	r := start(t, newService(t), &Line{LineTimeout: 1e9, PerAddress: 2000}, false)
	silent, dripping := r.dial(), r.dial()
	begin := time.Now()
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		for _, b := range []byte(loginLine("alice", password)) {
			if _, err := dripping.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(limit / 8)
		}
	}()
	if got := silent.cut(); got != "" {
		t.Errorf("silence was answered with %q", got)
	}
	if got := dripping.cut(); got != "nop syntax:\n" {
		t.Errorf("got %q", got)
	}
	if d := time.Since(begin); d < limit {
		t.Errorf("that took only %v", d)
	}
	<-stop

	second := r.dial() // a later line has its time from its first byte on
	second.send(loginLine("alice", password))
	second.granted()
	second.send("log")
	if got := second.cut(); got != "nop syntax:\n" {
		t.Errorf("got %q", got)
	}
}

func TestPerAddress(t *testing.T) {
	r := start(t, newService(t), &Line{PerAddress: 2}, false)
	a, b := r.dial(), r.dial()
	for _, c := range []*peer{a, b} {
		c.send(loginLine("alice", password))
		c.granted()
	}
	c := r.dial()
	c.takes("nop ratelimited\n")
	c.ended()
	a.Close()
	eventually(t, "a free place", func() bool { return strangers.Of("127.0.0.1") == 1 })
	c = r.dial()
	c.send(loginLine("alice", password))
	c.granted()
}

func TestPlaintextIsRefused(t *testing.T) {
	r := start(t, newService(t), &Line{}, false, func(r *rig) { r.line.Plaintext = false })
	c := r.dial()
	c.takes("nop unavailable\n")
	c.ended()
}

// A panic ends its connection and nothing else.
func TestPanic(t *testing.T) {
	r := start(t, newService(t), &Line{}, false, func(r *rig) { r.app.service = nil })
	c := r.dial()
	c.send(loginLine("alice", password))
	if got := c.cut(); got != "" {
		t.Errorf("got %q", got)
	}
	eventually(t, "its place", func() bool { return strangers.Of("127.0.0.1") == 0 && r.app.calls.Load() == 0 })
	c = r.dial()
	c.send("what\n")
	c.takes("nop syntax:\n")
}

// Over a pipe, nothing is buffered by anybody but us.
func TestOverPipe(t *testing.T) {
	l := &Line{Plaintext: true, app: &fakeApp{service: newService(t)}}
	l.Options().Fill()
	client, server := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- l.Handle(layer4.WrapConnection(server, nil, zap.NewNop()), nil) }()
	c := newPeer(t, client)
	c.send("login u:alice p:wrong\n")
	c.takes("nop credentials\n")
	c.send(loginLine("alice", password))
	c.granted()
	c.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	_ = server.Close()
}

// A client that goes in the middle of a login costs nothing; LIN-05.
func TestReset(t *testing.T) {
	r := start(t, newService(t), &Line{}, true)
	for range 20 {
		c := r.dial()
		c.send(loginLine("alice", password))
		tcp := c.Conn.(*tls.Conn).NetConn().(*net.TCPConn)
		_ = tcp.SetLinger(0)
		tcp.Close()
	}
}

// A client that goes on sending gets the last words all the same: closed with unread data, the kernel would send a reset.
func TestLastWordsToWhoGoesOn(t *testing.T) {
	hello := strings.Repeat("hello\n", 1000)
	for _, overTLS := range []bool{false, true} {
		for name, l := range map[string]*Line{"line": {Tries: 1}, "irc": {IRC: &IRC{}, Tries: 1}} {
			t.Run(fmt.Sprintf("%s, TLS %v", name, overTLS), func(t *testing.T) {
				want := "nop syntax"
				if l.IRC != nil {
					up := newUpstream(t)
					l.Proxy, want = up.proxy(), "ERROR :"
				}
				c := start(t, newService(t), l, overTLS).dial()
				c.send("!" + strings.Repeat("x", 16<<10) + "\r\n")
				for range 200 { // 1.2 MB
					c.send(hello)
				}
				c.Conn.(interface{ CloseWrite() error }).CloseWrite()
				if got := c.cut(); !strings.Contains(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		}
	}
}

// A client that never ends is not listened to for ever.
func TestLastWordsToWhoNeverEnds(t *testing.T) {
	c := start(t, newService(t), &Line{Tries: 1}, false).dial()
	_ = c.SetDeadline(time.Now().Add(patience))
	err := error(nil)
	for err == nil {
		_, err = c.Write([]byte("!\n"))
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("still open")
	}
}
