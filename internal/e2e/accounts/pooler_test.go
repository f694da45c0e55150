//go:build linux

package accounts

import (
	"net/http"
	"testing"

	"github.com/chatgate/chatgate/internal/pgtest"
	"github.com/chatgate/chatgate/internal/redistest"
)

// Two nodes start at once through a PgBouncer with its defaults, and serve accounts as without it.
func TestBehindPooler(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"session", "transaction"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			pg, sessions := pgtest.Start(t), redistest.Start(t)
			pooler := pg.StartPooler(t, mode)
			dsn := pooler.DSN(t, pg.NewDatabase(t))
			d := start(t, 2, options{}, "accounts postgres {env.PG} {\n\t\t\tmax_conns 6\n\t\t}\n\t\tsessions redis {env.REDIS}", "PG="+dsn, "REDIS="+sessions.URL())
			_, email, token := d.user(t)
			var waiting []<-chan answer
			for i := range 12 { // more at once than a node has connections
				done := make(chan answer, 1)
				waiting = append(waiting, done)
				go func() {
					done <- d.call(d.node(i), http.MethodPost, "/api/auth/login", "", object{"email": email, "password": password})
				}()
			}
			for _, done := range waiting {
				a := <-done
				if a.status != http.StatusOK {
					t.Errorf("login: %v", a)
					continue
				}
				d.wantAlive(t, a.get("token"))
			}
			socks := d.sockets(t, d.refresh(t, 1, token))
			d.mustCall(t, 0, http.MethodPost, "/api/auth/logout-all", token, nil, http.StatusNoContent)
			for _, s := range socks {
				s.ExpectClose(4401)
			}
			d.wantOver(t, token)
		})
	}
}
