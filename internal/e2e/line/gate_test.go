package line

import (
	"net"
	"strings"
	"testing"

	"github.com/pires/go-proxyproto"
)

// Whatever follows the line that lets somebody in arrives, byte for byte and behind what the chat is told, and goes on
// when one side has nothing more to say.
func TestEveryByteArrives(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.Register("alice", password)
	_, _, me := h.Call("GET", "/api/auth/me", h.Login("alice", password), "")
	bytes := strings.Repeat("no text: \x00\xff\r\nlogin u:x p:y\n", 4000) // beyond any buffer, and several records
	for listener, told := range map[string]string{"gate": "NICK alice\r\nACCESS read-write\r\n", "cut": "", "proxied": ""} {
		for _, end := range []string{"\n", "\r\n"} {
			c := h.dial(listener)
			go c.send(login("alice") + end + bytes)
			v := h.chat.accept(t)
			v.hears(t, told+bytes)
			token, _ := c.grant()
			if listener == "proxied" {
				sub := claims(t, token).Sub
				if v.header.Command != proxyproto.PROXY || v.header.SourceAddr.String() != c.LocalAddr().String() ||
					v.header.DestinationAddr.String() != h.listeners["proxied"] {
					t.Errorf("the chat was told %v, %v, %v", v.header.Command, v.header.SourceAddr, v.header.DestinationAddr)
				}
				if user, id, access := v.told(0xE0), v.told(0xE1), v.told(0xE2); user != "alice" || id != sub || access != "read-write" || !strings.Contains(me, sub) {
					t.Errorf("the chat was told %s, %s, %s; the token is of %s, and alice is %s", user, id, access, sub, me)
				}
				c.expect("hello alice, read-write\n")
			}
			c.expect(told + bytes)

			// The chat has nothing more to say, and listens.
			if err := v.Conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			c.ended()
			c.send("still here\n")
			v.hears(t, told+bytes+"still here\n")
			c.Close()
			v.ended(t)
		}
	}
}

// A chat that ends a connection ends it here, and one that is gone takes nobody else along.
func TestChatLeaves(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.Register("alice", password)
	c, d := h.dial("gate"), h.dial("gate")
	c.granted(login("alice"))
	v := h.chat.accept(t)
	d.granted(login("alice"))
	w := h.chat.accept(t)
	v.Close()
	if got := c.rest(); !strings.HasSuffix("NICK alice\r\nACCESS read-write\r\n", got) {
		t.Errorf("got %q", got)
	}
	d.expect("NICK alice\r\nACCESS read-write\r\n")
	d.wants("hello", "hello")
	if !w.open() {
		t.Error("the other one is gone, too")
	}
}

// Visitors hear everything, and the chat hears nothing of them.
func TestVisitorsAreSilent(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	c := h.dial("gate")
	c.send("visit\n" + strings.Repeat("QUIT\n", 1000))
	v := h.chat.accept(t)
	c.expect("ok\nACCESS read-only\r\n")
	for range 100 {
		c.send("login u:alice p:x\nQUIT\n")
	}
	if _, err := v.Write([]byte("news\n")); err != nil {
		t.Fatal(err)
	}
	c.expect("news\n")
	c.Close()
	v.ended(t)
	if got := v.said(); got != "ACCESS read-only\r\n" {
		t.Errorf("the chat heard %.100q", got)
	}

	c = h.dial("cut")
	c.send("visit\nQUIT\n") // already in the same packet
	v = h.chat.accept(t)
	if got := c.rest(); got != "ok\n" {
		t.Errorf("got %q", got)
	}
	v.ended(t)
	if got := v.said(); got != "" {
		t.Errorf("the chat heard %.100q", got)
	}
}
