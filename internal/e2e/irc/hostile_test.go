//go:build linux

package irc

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/irctest"
)

// hostile are spellings of what a client may not send, and of what servers read in different ways, with what the server is
// sent instead. SELF is the client's nick, OTHER one that nobody has, MATE somebody else's.
func hostile() map[string]string {
	all := map[string]string{
		"PRIVMSG SELF :a\n":                                            "PRIVMSG SELF :a\r\n",
		"privmsg SELF :a\r\n":                                          "privmsg SELF :a\r\n",
		"  PRIVMSG   SELF   : a  b \r\n":                               "PRIVMSG SELF : a  b \r\n",
		"@a=b;+c PRIVMSG SELF :a\r\n":                                  "PRIVMSG SELF :a\r\n",
		":SELF PRIVMSG SELF :a\r\n":                                    "PRIVMSG SELF :a\r\n",
		":SELF!x@y   PRIVMSG SELF :a\r\n":                              "PRIVMSG SELF :a\r\n",
		"PRIVMSG SELF :a\u2028NICK OTHER\u0085\r\n":                    "PRIVMSG SELF :a\u2028NICK OTHER\u0085\r\n",
		"PRIVMSG SELF :caf\xe9 \xff\xfe\r\n":                           "PRIVMSG SELF :caf\xe9 \xff\xfe\r\n",
		"AWAY :caf\xe9\r\n":                                            "AWAY :caf\xe9\r\n",
		"NICK SELF\r\n":                                                "NICK SELF\r\n",
		"PING a\n\rNICK OTHER\r\n":                                     "PING a\r\n",
		"PING a\nNICK OTHER\nPING b\n":                                 "PING a\r\nPING b\r\n",
		"OPER OTHER secret\r\n":                                        "OPER OTHER secret\r\n",
		"CAP REQ :sasl\r\nAUTHENTICATE PLAIN\r\n":                      "CAP REQ :sasl\r\n",
		"SETNAME :OTHER\r\n":                                           "SETNAME :OTHER\r\n",
		"PRIVMSG SELF :" + strings.Repeat("x", 400) + "\nNICK OTHER\n": "PRIVMSG SELF :" + strings.Repeat("x", 400) + "\r\n",
	}
	for _, line := range []string{
		"N\rICK OTHER\n", "NI\rCK OTHER\r\n", "NICK OTH\rER\r\n", "NICK\r OTHER\r\n", "\rNICK OTHER\r\n", "NICK OTHER\r\r\n", "NICK OTHER\r\n\r\n",
		"PRIVMSG SELF :a\rNICK OTHER\r\n", "PRIVMSG SELF :a\rNICK OTHER\rPRIVMSG SELF :b\n", "NICK SELF\rNICK OTHER\r\n", "\r\rNICK OTHER\r\r\r\n",
		"NICK\x00OTHER\r\n", "N\x00ICK OTHER\r\n", "\x00NICK OTHER\r\n", "NICK OTHER\x00\r\n", "PRIVMSG SELF :a\x00NICK OTHER\r\n", "NICK SELF\x00NICK OTHER\r\n",
		"NICK OTHER\n", "nick OTHER\r\n", "nIcK OTHER\n", "  NICK OTHER\r\n", "NICK   OTHER  \r\n", "NICK :OTHER\r\n", "NICK ::OTHER\r\n", "NICK OTHER 1 2 3\r\n",
		"NICK OTHER\t\r\n", "NICK\tOTHER\r\n", "\tNICK OTHER\r\n", "\vNICK OTHER\r\n", "NICK\fOTHER\r\n", "\u00a0NICK OTHER\r\n", "NICK\u2028OTHER\r\n",
		"N\u0131CK OTHER\r\n", "N\xccCK OTHER\r\n", "NI. OTHER\r\n", "NICK. OTHER\r\n", "NICK 0\r\n", "NICK\r\n", "NICK :\r\n", "NICK \r\n", "NICK SELF\u2028\r\n",
		":SELF NICK OTHER\r\n", ":SELF!SELF@127.0.0.1 NICK :OTHER\r\n", ":MATE NICK OTHER\r\n", ":irc.example.net NICK OTHER\r\n", ":0AA NICK OTHER\r\n",
		":MATE PRIVMSG SELF :a\r\n", ":a :b NICK OTHER\r\n", ": NICK OTHER\r\n", ":NICK OTHER\r\n", "::SELF NICK OTHER\r\n", ":SELF  NICK OTHER\n",
		"@a=b NICK OTHER\r\n", "@a=b  :SELF  NICK OTHER\r\n", "@ NICK OTHER\r\n", "@a @b NICK OTHER\r\n", "@a=\rNICK OTHER\r\n", " @a NICK OTHER\r\n",
		"@" + strings.Repeat("a", 4093) + " NICK OTHER\r\n", "@" + strings.Repeat("a", 8191) + " NICK OTHER\r\n",
		"PRIVMSG SELF :" + strings.Repeat("x", 600) + "NICK OTHER\r\n", strings.Repeat(" ", 512) + "NICK OTHER\r\n",
		"PRIVMSG SELF :" + strings.Repeat("x", 600) + "\rNICK OTHER\r\n", "001 OTHER :Welcome\r\n", "433 * OTHER :x\r\n",
		"AUTHENTICATE PLAIN\r\nAUTHENTICATE " + irctest.Plain("other", "secret") + "\r\n", "authenticate PLAIN\n", "A\rUTHENTICATE PLAIN\n", "@a AUTHENTICATE PLAIN\r\n",
		"PASS OTHER:secret\r\n", "pass :x\n", "P\rASS x\r\n", "USER OTHER 0 * :OTHER\r\n", "user OTHER 0 * OTHER\n", "U\rSER OTHER 0 * :x\r\n", ":SELF USER OTHER 0 * :x\r\n",
		"WEBIRC SECRET OTHER other.example.net 203.0.113.1\r\n", "webirc SECRET OTHER other.example.net 203.0.113.1\n", "W\rEBIRC SECRET a b 203.0.113.1\r\n",
		"PROXY TCP4 203.0.113.1 127.0.0.1 1 2\r\n", "STARTTLS\r\n", "starttls\n", "S\rTARTTLS\r\n", "CHARCONV CP037\r\n\xd5\xc9\xc3\xd2\x40\x96\xa3\x88\x85\x99\r\n",
		"SERVER OTHER.example.net 1 :x\r\n", "SERVICE OTHER * * 0 0 :x\r\n", "REGISTER OTHER * secret\r\n", "VERIFY OTHER 123\r\n",
		"\r\n\n\r\n", "   \r\n", "\n",
	} {
		all[line] = ""
	}
	return all
}

// sane is the only form in which a server gets lines.
var sane = regexp.MustCompile(`^(?:@[^ \r\n\x00]+ )?[A-Za-z]+(?: [^: \r\n\x00][^ \r\n\x00]*)*(?: :[^\r\n\x00]*)?\r\n$`)

// startRecorded runs a gateway before a server of its own, with a recorder in between.
func startRecorded(t *testing.T, software irctest.Software) (*network, *irctest.Recorder) {
	t.Helper()
	server := irctest.StartServer(t, irctest.ServerOptions{Software: software})
	recorder := irctest.Record(t, server)
	before := *server
	before.Addr = recorder.Addr
	n := startNetwork(t, &before, oneNode)
	n.irc = server
	return n, recorder
}

// A CR alone ends a line for some servers, is nothing to others, and no way to another nick on any of them.
func TestLoneCR(t *testing.T) {
	for _, software := range irctest.Programs() {
		t.Run(string(software), func(t *testing.T) {
			n, _ := startRecorded(t, software)
			mate := n.witness()
			for _, spelling := range []string{"N\rICK OTHER\r\n", "PRIVMSG SELF :a\rNICK OTHER\r\n", "NICK SELF\r\r\nNI\rCK OTHER\n"} {
				alice := n.account()
				c := n.login(n.counting, alice)
				c.SendRaw(strings.NewReplacer("SELF", alice, "OTHER", "not"+alice).Replace(spelling))
				for _, m := range c.Sync() {
					if m.Command == "NICK" {
						t.Errorf("%q: the client hears %q", spelling, m.Raw)
					}
				}
				n.isItself(c, mate)
			}
		})
	}
}

// What servers read differently never gets to one, and a client's nick stays its own on all of them.
func TestHostile(t *testing.T) {
	for _, software := range irctest.Programs() {
		t.Run(string(software), func(t *testing.T) {
			n, recorder := startRecorded(t, software)
			server, mate, alice := n.irc, n.witness(), n.account()
			names := strings.NewReplacer("SELF", alice, "OTHER", "not"+alice, "MATE", mate.Nick(), "SECRET", server.WEBIRC)
			var c *irctest.Client
			all := hostile()
			for _, spelling := range slices.Sorted(maps.Keys(all)) {
				want := all[spelling]
				pieces := 1
				if software == irctest.IRCDHybrid && len(spelling) < 100 { // the quickest of them
					pieces = 2 // as one, and byte by byte
				}
				for range pieces {
					if c == nil {
						c = n.login(n.counting, alice)
						c.Sync()
					}
					if !n.stays(c, recorder, names.Replace(spelling), names.Replace(want), pieces == 1) {
						t.Errorf("by %.60q", spelling)
						n.isItself(c, mate)
						c.Close()
						c = nil // which may be somebody else now
					}
					pieces = 1
				}
			}
			if c != nil {
				n.isItself(c, mate)
			}
		})
	}
}

// stays sends a text, and reports whether the server was sent what it should be, and the client is who it was.
func (n *network) stays(c *irctest.Client, recorder *irctest.Recorder, text, want string, whole bool) (ok bool) {
	n.t.Helper()
	ok = true
	failed := func(format string, args ...any) {
		n.t.Helper()
		n.t.Errorf(format, args...)
		ok = false
	}
	before := len(recorder.Sent())
	if whole {
		c.SendRaw(text)
	} else {
		for i := range len(text) {
			c.SendRaw(text[i : i+1])
		}
	}
	for _, m := range c.Sync() {
		if m.Command == "NICK" || m.Command == "900" {
			failed("the client hears %q", m.Raw)
		}
	}
	sent := recorder.Sent()[before:]
	for line := range strings.Lines(sent) {
		if !sane.MatchString(line) {
			failed("the server is sent %.60q", line)
		}
	}
	if sent, _, _ = strings.Cut(sent, "PING sync"); sent != want {
		failed("the server is sent %.60q, want %.60q", sent, want)
	}
	return ok
}

// isItself fails the test if others see the client as somebody else, or as of another account.
func (n *network) isItself(c, mate *irctest.Client) {
	n.t.Helper()
	if whois := mate.Whois(c.Nick()); whois["311"].Param(1) != c.Nick() || whois["330"].Raw != "" || whois["307"].Raw != "" {
		n.t.Errorf("WHOIS says %v", whois)
	}
	if whois := mate.Whois("not" + c.Nick()); whois["401"].Raw == "" {
		n.t.Errorf("WHOIS of somebody else says %v", whois)
	}
}

// Tags go on where the server understands them, and are no cover for what follows them, however long they are.
func TestHostileTags(t *testing.T) {
	n, recorder := startRecorded(t, irctest.InspIRCd)
	mate, alice := n.witness(), n.account()
	c := n.dial(n.counting)
	c.Send("CAP LS 302", "NICK "+alice, "PASS "+alice+":"+password, "USER "+alice+" 0 * :A test", "CAP END")
	c.Expect("CAP", "NEW", "message-tags")
	c.Send("CAP REQ :message-tags")
	c.Expect("CAP", "ACK", "message-tags")
	longest := "@+a=" + strings.Repeat("a", 4096-len("@+a= ")) + " "
	body := "PRIVMSG SELF :" + strings.Repeat("x", 510-len("PRIVMSG  :")-len(alice))
	all := map[string]string{
		"@+a=b PRIVMSG SELF :a\r\n":         "@+a=b PRIVMSG SELF :a\r\n",
		"@+a=b   :SELF  privmsg SELF :a\n":  "@+a=b privmsg SELF :a\r\n",
		longest + body + "\r\n":             longest + body + "\r\n",
		longest + body + "y\r\n":            "",
		"@a" + longest[1:] + body + "\r\n":  "",
		longest + "NICK OTHER\r\n":          "",
		longest + "N\rICK OTHER\r\n":        "",
		"   " + longest + "NICK OTHER\r\n":  "",
		longest + "  :SELF  NICK OTHER\r\n": "",
		"@a\r NICK OTHER\r\n":               "",
		"@a\x00 NICK OTHER\r\n":             "",
		"@ NICK OTHER\r\n":                  "",
		"@a @b NICK OTHER\r\n":              "",
		"@a NICK OTHER\n":                   "",
	}
	names := strings.NewReplacer("SELF", alice, "OTHER", "not"+alice)
	for _, spelling := range slices.Sorted(maps.Keys(all)) {
		if !n.stays(c, recorder, names.Replace(spelling), names.Replace(all[spelling]), true) {
			t.Errorf("by %.60q", spelling)
		}
	}
	n.isItself(c, mate)
}
