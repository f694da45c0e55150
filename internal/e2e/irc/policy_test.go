//go:build linux

package irc

import (
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/irctest"
)

// What an operator decides holds for who has connected before, and not yet registered.
func TestPolicyReachesOpenConnections(t *testing.T) {
	n := startNetwork(t, irctest.StartServer(t), oneNode)
	n.Register("alice", password)
	n.Register("bob", password)
	half := n.dial(n.counting)
	half.Send("CAP LS 302", "NICK alice")
	half.Expect("CAP")
	if err := n.Reload(strings.Replace(n.file, "login_rate 100000/1s", "login_rate 1/1h", 1)); err != nil {
		t.Fatal(err)
	}
	n.login(n.counting, "bob") // the one login that is left
	half.Send("CAP REQ :sasl", "USER alice 0 * :A test", "AUTHENTICATE PLAIN")
	half.Expect("AUTHENTICATE", "+")
	half.Send("AUTHENTICATE " + irctest.Plain("alice", password))
	half.Expect("904")
}
