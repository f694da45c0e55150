//go:build linux

package irc

import (
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/irctest"
)

// WeeChat logs in by SASL PLAIN, asks for another nick, and is in under its account's name, from its own address.
func TestWeeChatSASL(t *testing.T) {
	n := theNetwork(t)
	alice := n.account()
	mate := n.witness()
	mate.Send("JOIN #sasl")
	mate.Expect("366")

	w := n.weechat(irctest.WeeChatOptions{Addr: n.counting, Nick: "somebody", SASLAccount: alice, SASLPassword: password})
	w.Await(irctest.Buffer, "Welcome to the Internet Relay Network "+alice+"!")
	w.Do(irctest.Buffer, "/join #sasl")
	if got, want := mate.Expect("JOIN").Source, alice+"!"+alice+"@127.0.0.3"; got != want {
		t.Errorf("%s joined, want %s", got, want)
	}
	w.Await("irc.gate.#sasl", "Channel #sasl: 2 nicks")
	w.Do("irc.gate.#sasl", "good morning")
	if got := mate.Expect("PRIVMSG"); got.Source != alice+"!"+alice+"@127.0.0.3" || got.Param(1) != "good morning" {
		t.Errorf("the other one hears %q", got.Raw)
	}
	mate.Send("PRIVMSG #sasl :and to you", "PRIVMSG "+alice+" :a word with you")
	w.Await("irc.gate.#sasl", "and to you")
	w.Await("irc.gate."+mate.Nick(), "a word with you")
	whois := mate.Whois(alice)
	if m := whois["311"]; m.Param(2) != alice || m.Param(3) != "127.0.0.3" {
		t.Errorf("WHOIS says %q", m.Raw)
	}

	// WeeChat may want another nick now; everybody sees the old one.
	w.Do(irctest.Buffer, "/nick somebody")
	w.Await(irctest.Buffer, "nick", "account's name")
	w.Do("irc.gate.#sasl", "still me")
	if got := mate.Expect("PRIVMSG", "still me").Source; got != alice+"!"+alice+"@127.0.0.3" {
		t.Errorf("%s speaks", got)
	}
	if got := mate.Whois("somebody"); got["401"].Raw == "" {
		t.Errorf("there is somebody: %v", got)
	}

	w.Do(irctest.Buffer, "/quit that is it")
	if got := mate.Expect("QUIT"); !strings.HasPrefix(got.Source, alice+"!") || !strings.Contains(got.Param(0), "that is it") {
		t.Errorf("the other one hears %q", got.Raw)
	}
}

// WeeChat logs in by PASS account:password.
func TestWeeChatPass(t *testing.T) {
	n := theNetwork(t)
	alice := n.account()
	w := n.weechat(irctest.WeeChatOptions{Addr: n.counting, Nick: alice, Password: alice + ":" + password})
	w.Await(irctest.Buffer, "Welcome to the Internet Relay Network "+alice+"!"+alice+"@127.0.0.3")
	other := n.weechat(irctest.WeeChatOptions{Addr: n.refusing, Nick: "somebody", Password: alice + ":" + password})
	other.Await(irctest.Buffer, "already") // second_nick refuse
	for _, line := range n.irc.Log(password) {
		t.Errorf("the server has been told the password: %s", line)
	}
}

// WeeChat is refused with a wrong password, and says so to its user.
func TestWeeChatRefused(t *testing.T) {
	n := theNetwork(t)
	alice := n.account()
	n.wantUntouched(func() {
		for name, try := range map[string]struct {
			options irctest.WeeChatOptions
			told    string
		}{
			"SASL":     {irctest.WeeChatOptions{SASLAccount: alice, SASLPassword: "wrong"}, "Wrong account or password"},
			"PASS":     {irctest.WeeChatOptions{Password: alice + ":wrong"}, "Wrong account or password"},
			"no login": {irctest.WeeChatOptions{}, "Log in: with SASL PLAIN, or with the server password account:password"},
		} {
			o := try.options
			o.Addr, o.Nick = n.counting, alice
			w := n.weechat(o)
			w.Await(irctest.Buffer, try.told)
			w.Await(irctest.Buffer, "irc: disconnected from server")
			for _, line := range w.Shown(irctest.Buffer, "Welcome") {
				t.Errorf("%s: %s", name, line)
			}
		}
	})
}

// WeeChat uses what the server can do beside the gate: with multi-prefix it knows every rank of a member, and not only the
// highest. Where that is taken away, it shows the next one.
func TestWeeChatCapabilities(t *testing.T) {
	n := theNetwork(t)
	alice := n.account()
	mate := n.witness()
	mate.Send("JOIN #ranks")
	mate.Expect("366")
	mate.Send("MODE #ranks +v " + mate.Nick())
	mate.Expect("MODE", "+v")
	w := n.weechat(irctest.WeeChatOptions{Addr: n.counting, Nick: alice, SASLAccount: alice, SASLPassword: password})
	w.Await(irctest.Buffer, "Welcome")
	w.Await(irctest.Buffer, "client capability, enabled", "multi-prefix")
	w.Do(irctest.Buffer, "/join #ranks")
	w.Await("irc.gate.#ranks", "Channel #ranks: 2 nicks")
	mate.Send("PRIVMSG #ranks :high", "MODE #ranks -o "+mate.Nick(), "PRIVMSG #ranks :and low")
	w.Await("irc.gate.#ranks", "\t@"+mate.Nick()+"\thigh")
	w.Await("irc.gate.#ranks", "\t+"+mate.Nick()+"\tand low")
}
