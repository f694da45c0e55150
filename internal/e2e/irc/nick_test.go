//go:build linux

package irc

import (
	"strings"
	"testing"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/irctest"
)

// Whatever a client says, before and after its registration, its nick is its account's name.
func TestNickEnforced(t *testing.T) {
	n := theNetwork(t)
	mate := n.witness()
	mate.Send("JOIN #nicks")
	mate.Expect("366")
	for name, send := range map[string]string{
		"plain":               "NICK other\r\n",
		"lower case":          "nick other\r\n",
		"mixed case":          "nIcK other\r\n",
		"colon":               "NICK :other\r\n",
		"a source":            ":SELF NICK other\r\n",
		"another's source":    ":" + mate.Nick() + " NICK other\r\n",
		"a server's source":   ":" + irctest.ServerName + " NICK other\r\n",
		"spaces before":       "  NICK other\r\n",
		"spaces behind":       "NICK   other  \r\n",
		"source and spaces":   ":SELF   NICK other\r\n",
		"tags":                "@a=b NICK other\r\n",
		"tags and a source":   "@a=b :SELF NICK other\r\n",
		"LF alone":            "NICK other\n",
		"CR alone":            "PRIVMSG #nicks :a\rNICK other\r\n",
		"CR at both ends":     "\rNICK other\r\r\n",
		"NUL":                 "PRIVMSG #nicks :a\x00NICK other\r\n",
		"NUL in the command":  "NI\x00CK other\r\n",
		"NUL before":          "\x00NICK other\r\n",
		"empty lines":         "\r\n\n\r\nNICK other\r\n",
		"tab":                 "NICK\tother\r\n",
		"tab before":          "\tNICK other\r\n",
		"blanks before":       " \t :SELF NICK other\t\r\n",
		"behind another":      "PRIVMSG #nicks :a\r\nNICK other\r\nPRIVMSG #nicks :b\r\n",
		"more parameters":     "NICK other 1 x y z\r\n",
		"a long line":         "PRIVMSG #nicks :" + strings.Repeat("x", 512-17) + "NICK other\r\n",
		"a very long line":    "PRIVMSG #nicks :" + strings.Repeat("x", 2<<10) + "\nNICK other\r\n",
		"registration anew":   "PASS x\r\nUSER other 0 * :Other\r\nNICK other\r\n",
		"a server's":          "SERVER other.example.net 1 :x\r\nNICK other\r\n",
		"a service's":         "SERVICE other * * 0 0 :x\r\nNICK other\r\n",
		"WEBIRC":              "WEBIRC " + n.irc.WEBIRC + " other other 203.0.113.1\r\nNICK other\r\n",
		"another charset":     "CHARCONV CP037\r\n\xd5\xc9\xc3\xd2\x40\x96\xa3\x88\x85\x99\r\n", // which some ngIRCd can
		"another's case":      "NICK SELF\r\n",
		"nothing":             "NICK\r\n",
		"the server's answer": ":SELF!SELF@127.0.0.2 NICK :other\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			n := *n
			n.t = t
			alice := n.account()
			other := "not" + alice
			c := n.login(n.counting, alice)
			c.Send("JOIN #nicks")
			mate.Expect("JOIN", alice)
			c.SendRaw(strings.NewReplacer("SELF", alice, "other", other).Replace(send))
			c.SendRaw("\r\nQUIT :done\r\n")
			for _, m := range c.End() { // some of it is an offence that ends the connection
				if m.Command == "NICK" {
					t.Errorf("the client hears %q", m.Raw)
				}
			}
			if got := n.irc.Log(other); len(got) > 0 { // it logs a change, and the name of who leaves
				t.Errorf("the server has seen %q", got)
			}
			if got := mate.Sync(); has(got, "NICK") {
				t.Errorf("the channel hears %v", got)
			}
		})
	}
}

// Neither is another nick to be had by what comes in the same packet as the login, in pieces, or between proof and welcome.
func TestEarlyNick(t *testing.T) {
	n := theNetwork(t)
	for name, pieces := range map[string][]string{
		"in one packet": {"PASS SELF:" + password + "\r\nNICK SELF\r\nUSER SELF 0 * :A test\r\nNICK OTHER\r\n"},
		"half of it":    {"PASS SELF:" + password + "\r\nNICK SELF\r\nUSER SELF 0 * :A test\r\nNI", "CK OTHER\r\n"},
		"twice":         {"PASS SELF:" + password + "\r\nNICK SELF\r\nNICK OTHER\r\nUSER SELF 0 * :A test\r\n"},
		"by SASL": {
			"CAP REQ :sasl\r\nNICK OTHER\r\nUSER OTHER 0 * :A test\r\nAUTHENTICATE PLAIN\r\nAUTHENTICATE PLAINTEXT\r\n",
			"NICK OTHER\r\nCAP END\r\nNICK OTHER\r\n",
		},
		"byte by byte": append([]string{"PASS SELF:" + password + "\r\nNICK SELF\r\nUSER SELF 0 * :A test\r\n"}, strings.Split("NICK !\r\n", "")...),
		"another case": {"PASS UPPER:" + password + "\r\nNICK OTHER\r\nUSER UPPER 0 * :A test\r\n"},
	} {
		alice := n.account()
		other := "not" + alice
		c := n.dial(n.counting)
		for _, piece := range pieces {
			c.SendRaw(strings.NewReplacer("SELF", alice, "UPPER", strings.ToUpper(alice), "OTHER", other, "!", other,
				"PLAINTEXT", irctest.Plain(alice, password)).Replace(piece))
		}
		if got := c.Expect("001"); got.Param(0) != alice {
			t.Errorf("%s: %q", name, got.Raw)
		}
		if got := c.Sync(); has(got, "NICK") {
			t.Errorf("%s: it hears %v", name, got)
		}
		if whois := c.Whois(alice); whois["311"].Param(1) != alice {
			t.Errorf("%s: WHOIS says %v", name, whois)
		}
		if got := n.irc.Log(other); len(got) > 0 {
			t.Errorf("%s: the server has seen %q", name, got)
		}
	}
}

// A refused NICK is answered with a numeric, and others see the old one.
func TestNickAnswer(t *testing.T) {
	n := theNetwork(t)
	alice := n.account()
	c := n.login(n.counting, alice)
	mate := n.witness()
	mate.Send("JOIN #answer")
	mate.Expect("366")
	c.Send("JOIN #answer")
	mate.Expect("JOIN")
	c.Send("NICK other")
	got := c.Sync()
	var numeric *irctest.Message
	for _, m := range got {
		if m.Command[0] == '4' {
			numeric = &m
		}
	}
	if numeric == nil || numeric.Param(0) != alice || len(numeric.Param(-1)) < 10 {
		t.Errorf("the client hears %v", got)
	}
	if whois := mate.Whois(alice); whois["311"].Param(2) != alice {
		t.Errorf("WHOIS says %v", whois)
	}
	if whois := mate.Whois("other"); whois["401"].Raw == "" {
		t.Errorf("WHOIS says %v", whois)
	}
	// Its own nick is no change, and what it says may have it in front.
	c.Send("NICK "+alice, ":"+alice+" PRIVMSG #answer :it is me")
	if got := c.Sync(); len(got) > 0 {
		t.Errorf("the client hears %v", got)
	}
	mate.Expect("PRIVMSG", "it is me")
}

// A second connection of an account is refused, or numbered: it is the account's all the same.
func TestSecondConnection(t *testing.T) {
	n := theNetwork(t)
	mate := n.witness()

	alice := n.account()
	first := n.login(n.refusing, alice)
	if whois := mate.Whois(alice); whois["311"].Param(2) != "gateway" { // which this listener says that it is; to ngIRCd it is a user's
		t.Errorf("WHOIS says %q", whois["311"].Raw)
	}
	second := n.dial(n.refusing)
	second.Send("PASS "+alice+":"+password, "NICK "+alice, "USER "+alice+" 0 * :A test")
	m := second.Expect("433")
	if len(m.Param(-1)) < 10 {
		t.Errorf("got %q", m.Raw)
	}
	second.End()
	first.Sync()
	first.Send("QUIT")
	first.End()
	n.login(n.refusing, alice).Sync() // the place is free again

	bob := n.account()
	nicks := map[string]bool{}
	for range 3 {
		c := n.login(n.counting, bob)
		nick := c.Nick()
		if nicks[nick] || !strings.HasPrefix(nick, bob) {
			t.Errorf("%s is %s, beside %v", bob, nick, nicks)
		}
		nicks[nick] = true
		if whois := mate.Whois(nick); whois["311"].Param(2) != bob {
			t.Errorf("WHOIS says %q", whois["311"].Raw)
		}
		c.Send("NICK " + bob + "x")
		for _, m := range c.Sync() {
			if m.Command == "NICK" {
				t.Errorf("got %q", m.Raw)
			}
		}
	}
}

// A nick that somebody else has at the server, who did not come through the gate, is not to be had.
func TestNickTaken(t *testing.T) {
	n := theNetwork(t)
	alice := n.account()
	squatter := irctest.Dialer{}.Dial(t, n.irc.Addr)
	squatter.Send("NICK "+alice, "USER squatter 0 * :A test")
	squatter.Expect("376")
	c := n.dial(n.refusing)
	c.Send("PASS "+alice+":"+password, "NICK "+alice, "USER "+alice+" 0 * :A test")
	c.Expect("433")
	c.End()
	squatter.Sync()
}

// An account whose name cannot be a nick on this server is told so, and so is the operator.
func TestNoNick(t *testing.T) {
	n := theNetwork(t)
	for _, name := range []string{"9lives", "bob.smith", "жук", "long"} {
		name += strings.TrimPrefix(n.account(), "user")
		if strings.HasPrefix(name, "long") {
			name = strings.Repeat("l", authcore.MaxUsername-len(name)) + name // which is more than ngIRCd can have
		}
		n.Register(name, password)
		before := len(n.Log())
		c := n.dial(n.counting)
		c.Send("PASS "+name+":"+password, "NICK somebody", "USER somebody 0 * :A test")
		c.Expect("432")
		end := c.End()
		if len(end) != 1 || end[0].Command != "ERROR" || strings.Contains(c.Seen(), " 001 ") {
			t.Errorf("%s: then, %v", name, end)
		}
		gatetest.Eventually(t, "a word for the operator", func() bool {
			for line := range strings.Lines(n.Log()[before:]) {
				if strings.Contains(line, `"level":"warn"`) && strings.Contains(line, `"nick":"`+name+`"`) {
					return true
				}
			}
			return false
		})
	}
}
