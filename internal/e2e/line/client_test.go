package line

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

const patience = 30 * time.Second // how long anything may take on a machine that is busy

// trusting is the TLS of a client that takes any certificate for the site's.
func trusting() *tls.Config { return &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"} }

// client is a connection to a line listener.
type client struct {
	net.Conn
	t  testing.TB
	br *bufio.Reader
}

// dial connects to a listener over TLS, until the test ends.
func (h *house) dial(listener string) *client {
	h.t.Helper()
	return dialFrom(h.t, "127.0.0.1", h.listeners[listener])
}

// dialFrom connects from one of the addresses that a machine has for itself.
func dialFrom(t testing.TB, from, addr string) *client {
	t.Helper()
	d := &net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := tls.DialWithDialer(d, "tcp", addr, trusting())
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, c)
}

func newClient(t testing.TB, c net.Conn) *client {
	t.Cleanup(func() { c.Close() })
	return &client{c, t, bufio.NewReader(c)}
}

// send writes exact bytes at once.
func (c *client) send(s string) {
	c.t.Helper()
	_ = c.SetWriteDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatalf("sending %.60q: %v", s, err)
	}
}

// line reads a reply.
func (c *client) line() string {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	s, err := c.br.ReadString('\n')
	if err != nil {
		c.t.Fatalf("got %q, %v; want a line", s, err)
	}
	return strings.TrimSuffix(s, "\n")
}

// ask sends a request and returns its reply.
func (c *client) ask(request string) string {
	c.t.Helper()
	c.send(request + "\n")
	return c.line()
}

// wants asks, and fails the test at another reply.
func (c *client) wants(request, reply string) {
	c.t.Helper()
	if got := c.ask(request); got != reply {
		c.t.Errorf("%.60s: got %q, want %q", request, got, reply)
	}
}

// granted is ask for a request that gets a token.
func (c *client) granted(request string) (token string, expires time.Time) {
	c.t.Helper()
	c.send(request + "\n")
	return c.grant()
}

// grant reads a reply with a token.
func (c *client) grant() (token string, expires time.Time) {
	c.t.Helper()
	reply := c.line()
	word := strings.Split(reply, " ")
	if len(word) != 3 || word[0] != "ok" {
		c.t.Fatalf("got %q, want a token", reply)
	}
	expires, err := time.Parse("2006-01-02T15:04:05Z", word[2])
	if err != nil {
		c.t.Fatal(err)
	}
	return word[1], expires
}

// expect reads exact bytes.
func (c *client) expect(want string) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c.br, got); string(got) != want {
		c.t.Fatalf("got %.100q, %v; want %.100q", got[:n], err, want)
	}
}

// rest reads until the end, which has to come.
func (c *client) rest() string {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(c.br)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("the connection is still open, after %.100q", b)
	}
	return string(b)
}

// ended fails the test if there is more than the end.
func (c *client) ended() {
	c.t.Helper()
	if got := c.rest(); got != "" {
		c.t.Errorf("got %.100q, want the end", got)
	}
}

// login returns the line for it.
func login(name string) string { return "login u:" + name + " p:" + password }

// register returns the line for it.
func register(name, number string) string {
	return fmt.Sprintf("register u:%s p:%s n:%s", name, password, number)
}

// signUp makes an account whose number is validated.
func (h *house) signUp(name, number string) {
	h.t.Helper()
	c := h.dial("line")
	defer c.Close()
	c.wants(register(name, number), "ok")
	c.wants("validatephone p:"+number+" c:"+h.sms.next(h.t, number), "ok")
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
