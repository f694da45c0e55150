//go:build linux

package irc

import (
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/irctest"
)

// A server that wants a password of everybody gets the gateway's own.
func TestServerPassword(t *testing.T) {
	const secret = "Harbour-Thimble-19"
	n := startNetwork(t, irctest.StartServer(t, irctest.ServerOptions{Password: secret}),
		strings.Replace(oneNode, "GATES", strings.ReplaceAll(gates, "webirc", "password {env.SECRET}\n\t\t\t\t\t\twebirc"), 1), "SECRET="+secret)
	n.Register("alice", password)
	c := n.login(n.counting, "alice")
	if m := c.Whois("alice")["311"]; m.Param(3) != "127.0.0.2" {
		t.Errorf("WHOIS says %q", m.Raw)
	}
	if strings.Contains(n.Log(), secret) || strings.Contains(n.Log(), password) || strings.Contains(n.Log(), n.irc.WEBIRC) {
		t.Error("the log has a secret")
	}
}

// While the server is away nobody gets in, and is told so; then all is well.
func TestServerAway(t *testing.T) {
	n := startNetwork(t, irctest.StartServer(t), oneNode)
	n.Register("alice", password)
	c := n.login(n.counting, "alice")
	n.irc.Stop()
	c.End()
	d := n.dial(n.counting)
	d.Send("PASS alice:"+password, "NICK alice", "USER alice 0 * :A test")
	end := d.End()
	if len(end) == 0 || end[len(end)-1].Command != "ERROR" {
		t.Errorf("got %v", end)
	}
	n.irc.Run()
	n.login(n.refusing, "alice").Sync()
}

// Where the server will not have the gateway, that is for its operator: a client whose password is right does not hear that
// it was wrong.
func TestServerPasswordMissing(t *testing.T) {
	n := startNetwork(t, irctest.StartServer(t, irctest.ServerOptions{Password: "Harbour-Thimble-19"}), oneNode)
	n.Register("alice", password)
	c := n.dial(n.counting)
	c.Send("PASS alice:"+password, "NICK alice", "USER alice 0 * :A test")
	c.Expect("900")
	end := c.End()
	if len(end) == 0 || end[len(end)-1].Command != "ERROR" {
		t.Errorf("got %v", end)
	}
	for _, m := range end {
		if m.Command == "464" || strings.Contains(m.Raw, "assword") {
			t.Errorf("got %q", m.Raw)
		}
	}
	gatetest.Eventually(t, "a word for the operator", func() bool {
		for line := range strings.Lines(n.Log()) {
			if strings.Contains(line, `"level":"warn"`) && strings.Contains(line, `"nick":"alice"`) && strings.Contains(line, "Bad password") {
				return true
			}
		}
		return false
	})
}

// The server's capabilities are there for a client that understands when they are told, and for one that asks by itself.
func TestCapabilities(t *testing.T) {
	n := theNetwork(t)
	mate := n.witness()
	mate.Send("JOIN #caps")
	mate.Expect("366")
	mate.Send("MODE #caps +v " + mate.Nick())
	mate.Expect("MODE", "+v")
	ranks := func(c *irctest.Client) string {
		c.Send("NAMES #caps")
		names := c.Expect("353", "#caps").Param(-1)
		c.Expect("366", "#caps")
		return names
	}
	for _, cap := range []string{"LS 302", "LS", "REQ :sasl cap-notify", "REQ sasl"} {
		alice := n.account()
		c := n.dial(n.counting)
		c.Send("CAP "+cap, "NICK "+alice, "USER "+alice+" 0 * :A test", "AUTHENTICATE PLAIN", "AUTHENTICATE "+irctest.Plain(alice, password), "CAP END")
		c.Expect("001")
		told := c.Sync()
		news := slices.IndexFunc(told, func(m irctest.Message) bool { return m.Command == "CAP" })
		notified := strings.Contains(cap, "302") || strings.Contains(cap, "notify")
		if notified != (news >= 0) {
			t.Errorf("%s: it hears %v", cap, told)
		}
		if notified && news >= 0 {
			if m := told[news]; m.Param(0) != alice || m.Param(1) != "NEW" || m.Param(2) != "multi-prefix" {
				t.Errorf("%s: it hears %q", cap, m.Raw)
			}
		}
		if got := ranks(c); got != "@"+mate.Nick() {
			t.Errorf("%s: without multi-prefix there are %s", cap, got)
		}
		c.Send("CAP REQ :multi-prefix")
		c.Expect("CAP", "ACK", "multi-prefix")
		if got := ranks(c); got != "@+"+mate.Nick() {
			t.Errorf("%s: with multi-prefix there are %s", cap, got)
		}
	}
}

// A line that is too long is answered and goes no further; the one after it does.
func TestLongLines(t *testing.T) {
	n := theNetwork(t)
	alice := n.account()
	c := n.login(n.counting, alice)
	mate := n.witness()
	mate.Send("JOIN #long")
	mate.Expect("366")
	c.Send("JOIN #long")
	c.Expect("366")
	mate.Expect("JOIN")
	whole := "PRIVMSG #long :" // 512 bytes with its end are a line
	whole += strings.Repeat("y", 510-len(whole))
	c.Send(whole+"y", strings.Repeat("z", 4<<10), whole, "PRIVMSG #long :on")
	got := c.Sync()
	if len(got) != 2 || got[0].Command != "417" || got[1].Command != "417" {
		t.Errorf("the client hears %v", got)
	}
	if m := mate.Next("PRIVMSG"); !strings.HasPrefix(m.Param(1), "yyyy") {
		t.Errorf("the channel hears %q", m.Raw)
	}
	if m := mate.Next("PRIVMSG"); m.Param(1) != "on" {
		t.Errorf("the channel hears %q", m.Raw)
	}
}

// A gateway that is stopped says so to its clients, and to the server.
func TestStop(t *testing.T) {
	n := startNetwork(t, irctest.StartServer(t), oneNode)
	n.Register("alice", password)
	mate := n.witness()
	mate.Send("JOIN #stop")
	mate.Expect("366")
	c := n.login(n.counting, "alice")
	c.Send("JOIN #stop")
	mate.Expect("JOIN")
	n.Stop()
	if end := c.End(); len(end) == 0 || end[len(end)-1].Command != "ERROR" {
		t.Errorf("the client hears %v", end)
	}
	mate.Expect("QUIT", "alice!")
}

// However a client goes, the server sees it go, and its account's place is free.
func TestGone(t *testing.T) {
	n := theNetwork(t)
	mate := n.witness()
	mate.Send("JOIN #gone")
	mate.Expect("366")
	alice := n.account()
	for name, leave := range map[string]func(c *irctest.Client){
		"quits":       func(c *irctest.Client) { c.Send("QUIT :bye") },
		"closes":      func(c *irctest.Client) { c.Close() },
		"half-closes": func(c *irctest.Client) { _ = c.Conn.(*tls.Conn).CloseWrite() },
		"resets": func(c *irctest.Client) {
			raw := c.Conn.(*tls.Conn).NetConn().(*net.TCPConn)
			_ = raw.SetLinger(0)
			_ = raw.Close()
		},
	} {
		c := n.login(n.refusing, alice)
		c.Send("JOIN #gone")
		mate.Expect("JOIN", alice)
		leave(c)
		if m := mate.Expect("QUIT"); !strings.HasPrefix(m.Source, alice+"!") {
			t.Errorf("%s: %q", name, m.Raw)
		}
	}
}
