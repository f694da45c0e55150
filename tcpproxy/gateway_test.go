package tcpproxy_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
)

const (
	patience = 30 * time.Second
	secret   = "Lantern-Quarry-71"
)

// gateway is a real one, with a line listener for accounts and another one that is a gate.
type gateway struct {
	*gatetest.Gateway
	t              testing.TB
	lines, gate    string // their addresses
	file           string
	upstreamListen net.Listener
}

func startGateway(t testing.TB) *gateway {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	g := &gateway{
		t: t, upstreamListen: ln,
		lines: fmt.Sprintf("127.0.0.1:%d", gatetest.FreePort(t)), gate: fmt.Sprintf("127.0.0.1:%d", gatetest.FreePort(t)),
	}
	g.file = strings.NewReplacer("{{LINES}}", g.lines, "{{GATE}}", g.gate, "{{UPSTREAM}}", ln.Addr().String()).Replace(`{
	{{GLOBAL}}
	chatgate {
		accounts sqlite {{DIR}}/accounts.db
		login_rate 100000/1s
	}
	layer4 {
		{{LINES}} {
			route {
				chatgate_tls
				chatgate_line
			}
		}
		{{GATE}} {
			route {
				chatgate_tls
				chatgate_line {
					upstream {{UPSTREAM}}
				}
			}
		}
	}
}
http://{{HTTP}} {
	chatgate_accounts rooms
}
https://{{HTTPS}} {
	respond ok
}
`)
	g.Gateway = gatetest.Start(t, g.file)
	gatetest.AwaitCertificate(t, g.lines)
	return g
}

var clientTLS = &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}

// conn is a client's, or an upstream's.
type conn struct {
	net.Conn
	t  testing.TB
	br *bufio.Reader
}

func (g *gateway) dial(addr string) *conn {
	g.t.Helper()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", addr, clientTLS)
	if err != nil {
		g.t.Fatal(err)
	}
	return newConn(g.t, c)
}

func newConn(t testing.TB, c net.Conn) *conn {
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(2 * patience))
	return &conn{c, t, bufio.NewReader(c)}
}

func (g *gateway) accept() *conn {
	g.t.Helper()
	_ = g.upstreamListen.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	c, err := g.upstreamListen.Accept()
	if err != nil {
		g.t.Fatal(err)
	}
	return newConn(g.t, c)
}

func (c *conn) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatal(err)
	}
}

func (c *conn) line() string {
	c.t.Helper()
	s, err := c.br.ReadString('\n')
	if err != nil {
		c.t.Fatalf("got %q, %v; want a line", s, err)
	}
	return strings.TrimSuffix(s, "\n")
}

func (c *conn) expect(want string) {
	c.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c.br, got); string(got) != want {
		c.t.Fatalf("got %q, %v; want %q", got[:n], err, want)
	}
}

func TestGateway(t *testing.T) {
	g := startGateway(t)
	g.Register("alice", secret)

	c := g.dial(g.lines)
	c.send("login u:alice p:wrong\r\nlogin u:alice p:" + secret + "\r\n")
	c.expect("nop credentials\n")
	word := strings.Fields(c.line())
	if len(word) != 3 || word[0] != "ok" {
		t.Fatalf("got %q", word)
	}
	at, err := time.Parse(time.RFC3339, word[2])
	if err != nil || !strings.HasSuffix(word[2], "Z") || time.Until(at) > time.Hour || time.Until(at) < 50*time.Minute {
		t.Errorf("good until %s, %v", word[2], err)
	}

	d := g.dial(g.gate)
	d.send("token t:" + word[1] + "\nhello in the same packet")
	u := g.accept()
	d.expect("ok\n")
	u.expect("hello in the same packet")

	// A reload leaves it alone; what it names differently holds for what comes after it.
	half := g.dial(g.gate)
	half.send("token ")
	for i := range 3 {
		if err := g.Reload(strings.Replace(g.file, "login_rate 100000/1s", fmt.Sprintf("login_rate 1000%d/1s", i), 1)); err != nil {
			t.Fatal(err)
		}
	}
	d.send("still")
	u.expect("still")
	u.send("here")
	d.expect("here")
	half.send("t:" + word[1] + "\n")
	half.expect("ok\n")
	v := g.accept()

	// A logout over HTTP reaches both.
	if status, _, body := g.Call("POST", "/api/v1/logout", word[1], ""); status != 200 {
		t.Fatal(status, body)
	}
	for _, x := range []*conn{d, u, half, v} {
		if b, err := io.ReadAll(x.br); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %q, %v", b, err)
		}
	}
	c.send("token t:" + word[1] + "\n")
	c.expect("nop badtoken\n")

	// What is not TLS, or not enough of it, is not answered with lines; LIN-04.
	for name, config := range map[string]*tls.Config{
		"TLS 1.1":     {InsecureSkipVerify: true, ServerName: "localhost", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
		"weak cipher": {InsecureSkipVerify: true, ServerName: "localhost", MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}},
	} {
		if c, err := tls.Dial("tcp", g.lines, config); err == nil {
			c.Close()
			t.Errorf("%s was accepted", name)
		}
	}
	raw, err := net.Dial("tcp", g.lines)
	if err != nil {
		t.Fatal(err)
	}
	p := newConn(t, raw)
	p.send("login u:alice p:" + secret + "\n")
	if b, _ := io.ReadAll(p.br); bytes.Contains(b, []byte("ok")) || bytes.Contains(b, []byte("nop")) {
		t.Errorf("plain text was answered with %q", b)
	}
	for _, word := range []string{secret, word[1]} {
		if strings.Contains(g.Log(), word) {
			t.Errorf("the log has a secret")
		}
	}
	if log := g.Log(); strings.Contains(log, `"level":"error"`) {
		t.Errorf("there are errors in the log")
	}
}
