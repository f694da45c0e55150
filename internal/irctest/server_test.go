//go:build linux

package irctest_test

import (
	"testing"

	"github.com/chatgate/chatgate/internal/irctest"
)

// A client registers on every server, and a gateway can say where it comes from.
func TestServers(t *testing.T) {
	for _, software := range irctest.Programs() {
		t.Run(string(software), func(t *testing.T) {
			s := irctest.StartServer(t, irctest.ServerOptions{Software: software})
			c := irctest.Dialer{}.Dial(t, s.Addr)
			c.Send("WEBIRC "+s.WEBIRC+" carl 203.0.113.9 203.0.113.9", "NICK carl|2", "USER carl 0 * :Carl")
			if m := c.Expect("001"); m.Param(0) != "carl|2" {
				t.Errorf("welcome: %q", m.Raw)
			}
			if whois := c.Whois("carl|2"); whois["311"].Param(2) != "carl" {
				t.Errorf("WHOIS has %v", whois)
			}
			s.Stop()
			c.End()
			s.Run()
			irctest.Dialer{}.Dial(t, s.Addr).Send("QUIT")
		})
	}
}
