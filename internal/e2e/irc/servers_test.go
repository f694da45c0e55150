//go:build linux

package irc

import (
	"testing"

	"github.com/chatgate/chatgate/internal/irctest"
)

// Every server has the account's name for a nick, knows where the client is, and gets its words as they are, UTF-8 or not.
func TestServers(t *testing.T) {
	const name = "Caf\xe9 \xff"
	for _, software := range irctest.Programs() {
		t.Run(string(software), func(t *testing.T) {
			n := startNetwork(t, irctest.StartServer(t, irctest.ServerOptions{Software: software}), oneNode)
			alice := n.account()
			mate := n.witness()
			mate.Send("JOIN #cafe")
			mate.Expect("366")
			mate.Send("MODE #cafe -t")
			c := n.dial(n.counting)
			c.Send("PASS "+alice+":"+password, "NICK guest", "USER "+alice+" 0 * :"+name)
			if m := c.Expect("001"); m.Param(0) != alice {
				t.Errorf("welcome: %q", m.Raw)
			}
			c.Expect("376")
			if m := mate.Whois(alice)["311"]; m.Param(2) != alice || m.Param(3) != "127.0.0.2" || m.Param(-1) != name {
				t.Errorf("WHOIS says %q", m.Raw)
			}
			second := n.login(n.counting, alice)
			if second.Nick() != alice+"|2" {
				t.Errorf("the second one is %s", second.Nick())
			}
			c.Send("JOIN #cafe", "PRIVMSG #cafe :"+name, "TOPIC #cafe :"+name, "AWAY :"+name)
			mate.Expect("JOIN", alice)
			if m := mate.Expect("PRIVMSG"); m.Param(-1) != name {
				t.Errorf("the channel hears %q", m.Raw)
			}
			if m := mate.Expect("TOPIC"); m.Param(-1) != name {
				t.Errorf("the channel hears %q", m.Raw)
			}
			c.Expect("306")
			if m := mate.Whois(alice)["301"]; m.Param(-1) != name {
				t.Errorf("it is away: %q", m.Raw)
			}
			c.Send("QUIT :" + name)
			mate.Expect("QUIT", alice)
		})
	}
}
