//go:build linux

package nodes

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/chatgate/chatgate/internal/faultproxy"
)

// What happens to PostgreSQL happens to every node.
func TestPostgresFaults(t *testing.T) {
	t.Parallel()
	const connections = 40
	c := start(t, 2, fmt.Sprintf("max_connections=%d", connections))
	both := func(f func(*faultproxy.Proxy)) {
		for _, n := range c.nodes {
			f(n.pg)
		}
	}
	unavailable := [2]int{http.StatusServiceUnavailable, http.StatusServiceUnavailable}
	var taken []*pgx.Conn
	inTurn(t, c, []named{
		{"killed", fault{
			begin: func(testing.TB) { c.pg.Stop() }, end: c.pg.Run, logout: unavailable,
		}},
		{"frozen", fault{
			begin: func(testing.TB) { c.pg.Freeze() }, end: func(testing.TB) { c.pg.Thaw() }, logout: unavailable,
		}},
		{"no connection left", fault{
			begin: func(t testing.TB) {
				both((*faultproxy.Proxy).Cut)
				// Until the server has noticed that the nodes are gone, some connections are still theirs.
				eventually(t, patience, "every connection to be taken", func() bool {
					for {
						conn, err := pgx.Connect(context.Background(), c.pg.DSN("postgres"))
						if err != nil {
							return len(taken) == connections
						}
						taken = append(taken, conn)
					}
				})
				both((*faultproxy.Proxy).Heal)
			},
			end: func(testing.TB) {
				for _, conn := range taken {
					_ = conn.Close(context.Background())
				}
			},
			logout: unavailable,
		}},
	})
}

// What happens to one node's way to PostgreSQL leaves the others as they are.
func TestPostgresFaultsOfOneNode(t *testing.T) {
	t.Parallel()
	c := start(t, 2)
	inTurn(t, c, []named{
		{"one node cut off", fault{
			begin: func(testing.TB) { c.nodes[1].pg.Cut() }, end: func(testing.TB) { c.nodes[1].pg.Heal() },
			logout: [2]int{http.StatusOK, http.StatusServiceUnavailable},
		}},
		{"one node in silence", fault{
			begin: func(testing.TB) { c.nodes[1].pg.Hang() }, end: func(testing.TB) { c.nodes[1].pg.Heal() },
			logout: [2]int{http.StatusOK, http.StatusServiceUnavailable},
		}},
	})
}
