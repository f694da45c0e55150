//go:build linux

package methods

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/pgtest"
	"github.com/chatgate/chatgate/internal/redistest"
)

// A logout on one node, in whatever dialect, logs connections on the others out, and leaves them open. A node that goes
// away closes its own.
func TestOtherNodes(t *testing.T) {
	pg, redis := pgtest.Start(t), redistest.Start(t)
	ch := newChat(t)
	cf := strings.ReplaceAll(caddyfile(generous, "\t\tupstream UPSTREAM\n"), "UPSTREAM", ch.addr)
	cf = strings.Replace(cf, "accounts sqlite {{DIR}}/accounts.db", "accounts postgres {env.PG}\n\t\tsessions redis {env.REDIS}", 1)
	o := gatetest.Options{Env: []string{"PG=" + pg.NewDatabase(t), "REDIS=" + redis.URL()}}
	a := gatetest.Start(t, cf, o)
	b := gatetest.Start(t, cf, o)

	onA, onB, other := dial(t, a), dial(t, b), dial(t, b)
	tok := onA.enter("user_register", "alice")
	onB.ask(`{"m":"user_token_auth","r":1,"d":{"token":"`+tok+`"}}`, `{"r":1,"d":{}}`)
	bobs := other.enter("user_register", "bob")
	for _, c := range []socket{onA, onB} {
		c.ask(`{"m":"whoami","r":2}`, `{"r": 2, "d": {"user":"alice"}}`)
	}

	// By a method, here.
	onA.ask(`{"m":"user_logout","r":3}`, `{"r":3,"d":{}}`)
	onB.want(loggedOut)
	onB.ask(`{"m":"whoami","r":4}`, `{"r":4,"err":"not_logged_in"}`)
	onB.ask(`{"m":"user_token_auth","r":5,"d":{"token":"`+tok+`"}}`, `{"r":5,"err":"bad_token"}`)

	// Over HTTP, there.
	onA.enter("user_login", "alice")
	tok = onB.enter("user_login", "alice")
	if status, _, body := b.Call(http.MethodPost, "/api/v1/logout_all", tok, ""); status != http.StatusOK {
		t.Fatalf("logout_all: %d %s", status, body)
	}
	for _, c := range []socket{onA, onB} {
		c.want(loggedOut)
		c.ask(`{"m":"whoami","r":6}`, `{"r":6,"err":"not_logged_in"}`)
		c.ask(`{"m":"user_token_auth","r":7,"d":{"token":"`+tok+`"}}`, `{"r":7,"err":"bad_token"}`)
	}

	other.ask(`{"m":"whoami","r":8}`, `{"r": 8, "d": {"user":"bob"}}`)
	b.Stop()
	other.ExpectClose(1012)
	onA.ask(`{"m":"user_token_auth","r":9,"d":{"token":"`+bobs+`"}}`, `{"r":9,"d":{}}`)
}
