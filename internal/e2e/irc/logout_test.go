//go:build linux

package irc

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/irctest"
	"github.com/chatgate/chatgate/internal/pgtest"
	"github.com/chatgate/chatgate/internal/redistest"
)

const manyNodes = `{
	{{GLOBAL}}
	chatgate {
		accounts postgres {env.PG}
		sessions redis {env.REDIS}
		issuer https://chat.example.com
		login_rate 100000/1s
		signup_rate 100000/1s
		hash {
			memory_kib 64
			time 1
		}
	}
GATES}
http://{{HTTP}} {
	chatgate_accounts rooms
}
https://{{HTTPS}} {
	respond ok
}
`

// A logout of all of an account's sessions closes its connections to two gateways, whichever way they logged in, and no
// others; the server and whoever shares a channel sees them quit.
func TestLogoutAll(t *testing.T) {
	irc := irctest.StartServer(t)
	pg, redis := pgtest.Start(t), redistest.Start(t)
	dsn := "PG=" + pg.NewDatabase(t)
	a, b := startNetwork(t, irc, manyNodes, dsn, "REDIS="+redis.URL()), startNetwork(t, irc, manyNodes, dsn, "REDIS="+redis.URL())
	a.Register("alice", password)
	a.Register("bob", password)

	mate := a.witness()
	mate.Send("JOIN #all")
	mate.Expect("366")
	join := func(n *network, account string) *irctest.Client {
		c := n.login(n.counting, account)
		c.Send("JOIN #all")
		c.Expect("366", "#all")
		return c
	}
	own := []*irctest.Client{join(a, "alice"), join(b, "alice"), join(b, "alice")}
	others := []*irctest.Client{join(a, "bob"), join(b, "bob")}
	w := b.weechat(irctest.WeeChatOptions{Addr: b.counting, Nick: "alice", SASLAccount: "alice", SASLPassword: password})
	w.Await(irctest.Buffer, "Welcome to the Internet Relay Network alice")
	w.Do(irctest.Buffer, "/join #all")
	w.Await("irc.gate.#all", "Channel #all: 7 nicks")

	token := a.Login("alice", password)
	if status, _, body := a.Call(http.MethodPost, "/api/v1/logout_all", token, ""); status != http.StatusOK {
		t.Fatal(status, body)
	}
	for _, c := range own {
		c.End()
	}
	w.Await(irctest.Buffer, "irc: disconnected from server")
	for range 4 {
		if m := mate.Expect("QUIT"); !strings.HasPrefix(m.Source, "alice") {
			t.Errorf("the channel hears %q", m.Raw)
		}
	}
	for _, c := range others {
		c.Sync()
	}
	mate.Send("NAMES #all")
	names := mate.Expect("353").Param(-1)
	if strings.Contains(names, "alice") || strings.Count(names, "bob") != 2 {
		t.Errorf("there are %s", names)
	}

	// Whoever logs in anew is in.
	a.login(a.counting, "alice").Sync()
}
