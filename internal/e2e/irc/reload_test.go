//go:build linux

package irc

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/irctest"
)

// A new configuration drops nobody, and holds for who comes after it.
func TestReload(t *testing.T) {
	n := startNetwork(t, irctest.StartServer(t), oneNode)
	n.Register("alice", password)
	n.Register("bob", password)
	mate := n.witness()
	mate.Send("JOIN #reload")
	mate.Expect("366")
	w := n.weechat(irctest.WeeChatOptions{Addr: n.counting, Nick: "alice", SASLAccount: "alice", SASLPassword: password})
	w.Await(irctest.Buffer, "Welcome")
	w.Do(irctest.Buffer, "/join #reload")
	mate.Expect("JOIN", "alice")
	c := n.login(n.counting, "bob")
	half := n.dial(n.counting) // which has not yet logged in
	half.Send("CAP LS 302", "NICK bob")
	half.Expect("CAP")
	for i := range 3 {
		file := strings.ReplaceAll(n.file, "login_rate 100000/1s", fmt.Sprintf("login_rate 10000%d/1s", i))
		if err := n.Reload(strings.ReplaceAll(file, gateName, fmt.Sprintf("gate%d.example.com", i))); err != nil {
			t.Fatal(err)
		}
		c.Send(fmt.Sprintf("PRIVMSG alice :after %d", i))
		w.Await("irc.gate.bob", fmt.Sprintf("after %d", i))
		w.Do("irc.gate.#reload", fmt.Sprintf("me too, %d", i))
		mate.Expect("PRIVMSG", fmt.Sprintf("me too, %d", i))
	}
	half.Send("CAP REQ :sasl", "USER bob 0 * :A test", "AUTHENTICATE PLAIN")
	half.Expect("AUTHENTICATE", "+")
	half.Send("AUTHENTICATE "+irctest.Plain("bob", password), "CAP END")
	half.Expect("001")
	d := n.dial(n.counting)
	d.Send("CAP LS 302")
	if m := d.Expect("CAP"); m.Source != "gate2.example.com" {
		t.Errorf("got %q", m.Raw)
	}
	c.Send("NICK other") // is as bad as before
	for _, m := range c.Sync() {
		if m.Command == "NICK" {
			t.Errorf("got %q", m.Raw)
		}
	}
	if got := mate.Sync(); has(got, "QUIT") || has(got, "NICK") {
		t.Errorf("the channel hears %v", got)
	}
	w.Do(irctest.Buffer, "/quit")
	mate.Expect("QUIT", "alice")
}
