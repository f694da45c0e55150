//go:build linux

package irc

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/irctest"
)

// The answers to a login by SASL are those of its specification.
func TestSASL(t *testing.T) {
	n := theNetwork(t)
	alice := n.account()
	c := n.dial(n.counting)
	c.Send("CAP LS 302")
	m := c.Next("CAP")
	if m.Source != gateName || m.Param(0) != "*" || m.Param(1) != "LS" {
		t.Errorf("got %q", m.Raw)
	}
	if caps := strings.Fields(m.Param(-1)); !slices.Contains(caps, "sasl=PLAIN") || slices.Contains(caps, "tls") {
		t.Errorf("it can %q", caps)
	}
	c.Send("NICK somebody", "USER somebody 0 * :A test", "CAP REQ :sasl")
	if m := c.Next("CAP"); m.Param(0) != "somebody" || m.Param(1) != "ACK" || strings.TrimSpace(m.Param(2)) != "sasl" {
		t.Errorf("got %q", m.Raw)
	}
	c.Send("AUTHENTICATE PLAIN")
	if m := c.Next("AUTHENTICATE"); m.Param(0) != "+" {
		t.Errorf("got %q", m.Raw)
	}
	c.Send("AUTHENTICATE " + irctest.Plain(alice, password))
	if m := c.Next("900"); m.Param(2) != alice {
		t.Errorf("got %q", m.Raw)
	}
	c.Next("903")
	c.Send("AUTHENTICATE PLAIN")
	c.Next("907")
	c.Send("CAP END")
	m = c.Expect("001")
	if m.Param(0) != alice || m.Source != irctest.ServerName {
		t.Errorf("got %q", m.Raw)
	}
	c.Sync()
	if whois := n.witness().Whois(alice); whois["311"].Param(2) != alice || whois["311"].Param(3) != "127.0.0.2" {
		t.Errorf("WHOIS says %q", whois["311"].Raw)
	}
}

// Whoever fails to log in is told so in IRC's own way, and the server does not see them.
func TestRefused(t *testing.T) {
	n := theNetwork(t)
	alice := n.account()
	bob := n.account()
	sasl := []string{"CAP REQ :sasl", "NICK " + alice, "USER " + alice + " 0 * :A test", "AUTHENTICATE PLAIN"}
	n.wantUntouched(func() {
		for name, try := range map[string]struct {
			send []string
			want string // a numeric
		}{
			"SASL, wrong password":    {append(sasl, "AUTHENTICATE "+irctest.Plain(alice, "wrong")), "904"},
			"SASL, no such account":   {append(sasl, "AUTHENTICATE "+irctest.Plain("nosuch", password)), "904"},
			"SASL, for another":       {append(sasl, "AUTHENTICATE "+base64.StdEncoding.EncodeToString([]byte(bob+"\x00"+alice+"\x00"+password))), "904"},
			"SASL, no base64":         {append(sasl, "AUTHENTICATE ???"), "904"},
			"SASL, nothing":           {append(sasl, "AUTHENTICATE +"), "904"},
			"SASL, given up":          {append(sasl, "AUTHENTICATE *"), "906"},
			"SASL, too long":          {append(sasl, "AUTHENTICATE "+strings.Repeat("A", 401)), "905"},
			"SASL, no such way":       {append(sasl[:3:3], "AUTHENTICATE SCRAM-SHA-256"), "908"},
			"PASS, wrong password":    {[]string{"PASS " + alice + ":wrong", "NICK " + alice, "USER " + alice + " 0 * :A test"}, "464"},
			"PASS, no account":        {[]string{"PASS :" + password, "NICK " + alice, "USER " + alice + " 0 * :A test"}, "464"},
			"no login":                {[]string{"NICK " + alice, "USER " + alice + " 0 * :A test"}, "464"},
			"no login, with CAP":      {[]string{"CAP LS 302", "NICK " + alice, "USER " + alice + " 0 * :A test", "CAP END"}, "464"},
			"SASL left out":           {append(sasl, "AUTHENTICATE *", "CAP END"), "464"},
			"SASL failed, then on":    {append(sasl, "AUTHENTICATE "+irctest.Plain(alice, "wrong"), "CAP END"), "464"},
			"PASS, then no such NICK": {[]string{"PASS " + alice + ":wrong", "JOIN #x", "USER a 0 * :A", "NICK " + alice}, "464"},
		} {
			c := n.dial(n.counting)
			c.Send(try.send...)
			m := c.Expect(try.want)
			if m.Source != gateName || len(m.Param(-1)) < 5 {
				t.Errorf("%s: %q", name, m.Raw)
			}
			if try.want == "464" {
				if before := c.End(); len(before) != 1 || before[0].Command != "ERROR" {
					t.Errorf("%s: then, %v", name, before)
				}
			}
			if strings.Contains(c.Seen(), " 001 ") || strings.Contains(c.Seen(), " 903 ") {
				t.Errorf("%s: in\n%s", name, c.Seen())
			}
			c.Close()
		}
	})
}

// A password whose message is as long as one AUTHENTICATE takes, or longer, comes in pieces.
func TestChunks(t *testing.T) {
	n := theNetwork(t)
	for _, size := range []int{299, 300, 301, 600} { // of the message, whose base64 is 400 bytes at 300
		name := n.account() + "x"
		secret := "Lantern-71-"
		room := size - 2 - len(name) - len(secret)
		secret += strings.Repeat("€", room/len("€")) + strings.Repeat("x", room%len("€")) // no more than 256 characters
		n.Register(name, secret)
		c := n.dial(n.counting)
		c.Send("CAP REQ :sasl", "NICK "+name, "USER "+name+" 0 * :A test", "AUTHENTICATE PLAIN")
		c.Expect("AUTHENTICATE", "+")
		rest := irctest.Plain(name, secret)
		for len(rest) >= 400 {
			c.Send("AUTHENTICATE " + rest[:400])
			rest = rest[400:]
		}
		if rest == "" {
			rest = "+"
		}
		c.Send("AUTHENTICATE "+rest, "CAP END")
		c.Expect("903")
		c.Expect("001")
	}
}

// What comes in the same packet as the login is not lost, and comes once and in order.
func TestEarlyBytes(t *testing.T) {
	n := theNetwork(t)
	alice := n.account()
	mate := n.witness()
	mate.Send("JOIN #early")
	mate.Expect("366")
	lines := []string{"PASS " + alice + ":" + password, "NICK " + alice, "USER " + alice + " 0 * :A test", "JOIN #early"}
	for i := range 50 {
		lines = append(lines, fmt.Sprintf("PRIVMSG #early :line %d", i))
	}
	c := n.dial(n.counting)
	c.SendRaw(strings.Join(lines, "\r\n")) // and half a line
	c.Expect("366", "#early")
	for i := range 49 {
		if got := mate.Expect("PRIVMSG").Param(1); got != fmt.Sprintf("line %d", i) {
			t.Fatalf("message %d is %q", i, got)
		}
	}
	c.SendRaw("\r\n")
	mate.Expect("PRIVMSG", "line 49")

	// And by SASL, all in one.
	bob := n.account()
	c = n.dial(n.counting)
	c.Send("CAP REQ :sasl", "NICK "+bob, "USER "+bob+" 0 * :A test", "AUTHENTICATE PLAIN", "AUTHENTICATE "+irctest.Plain(bob, password),
		"CAP END", "JOIN #early", "PRIVMSG #early :so am I")
	if got := mate.Expect("PRIVMSG", "so am I").Source; got != bob+"!"+bob+"@127.0.0.2" {
		t.Errorf("%s speaks", got)
	}
}

// STARTTLS is not offered, neither by the gate nor through it.
func TestNoStartTLS(t *testing.T) {
	n := theNetwork(t)
	alice := n.account()
	c := n.dial(n.counting)
	c.Send("STARTTLS")
	c.Send("CAP REQ :tls")
	c.Expect("CAP", "NAK", "tls")
	if first := irctest.Parse(strings.Split(c.Seen(), "\n")[0]); !refusal(first) {
		t.Errorf("before the login: %q", first.Raw)
	}
	c = n.login(n.counting, alice)
	c.Send("STARTTLS")
	if got := c.Sync(); len(got) != 1 || !refusal(got[0]) {
		t.Errorf("after the login: %v", got)
	}
}

// refusal reports whether m says no: an error's numeric, or that of a STARTTLS that failed.
func refusal(m irctest.Message) bool {
	return len(m.Command) == 3 && m.Command[0] == '4' || m.Command == "691"
}

// Whoever floods the gate instead of logging in is cut off, and the server sees nothing of it.
func TestFlood(t *testing.T) {
	n := theNetwork(t)
	alice := n.account()
	n.wantUntouched(func() {
		for name, junk := range map[string]string{
			"no end of line": strings.Repeat("x", 64<<10),
			"short lines":    strings.Repeat("PRIVMSG #a :b\r\n", 4<<10),
			"pings":          strings.Repeat("PING a\r\n", 4<<10),
			"nicks":          strings.Repeat("NICK "+alice+"\r\n", 4<<10),
			"nothing":        strings.Repeat("\r\n", 32<<10),
			"logins":         strings.Repeat("AUTHENTICATE PLAIN\r\nAUTHENTICATE "+irctest.Plain(alice, "wrong")+"\r\n", 1<<10),
		} {
			c := n.dial(n.counting)
			if name == "logins" {
				c.Send("CAP REQ :sasl")
			}
			go func() {
				for range 1 << 10 { // 64 MiB, if it were let
					if _, err := c.Write([]byte(junk)); err != nil {
						return
					}
				}
			}()
			c.End()
			if strings.Count(c.Seen(), " 904 ") > 20 {
				t.Errorf("%s: %d tries", name, strings.Count(c.Seen(), " 904 "))
			}
		}
	})
	n.login(n.counting, alice)
}
