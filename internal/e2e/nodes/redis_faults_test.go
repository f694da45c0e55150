//go:build linux

package nodes

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/faultproxy"
)

// What happens to Redis happens to every node.
func TestRedisFaults(t *testing.T) {
	t.Parallel()
	c := start(t, 2)
	unavailable := [2]int{http.StatusServiceUnavailable, http.StatusServiceUnavailable}
	config := func(t testing.TB, name, value string) {
		t.Helper()
		if err := c.redis.Client().ConfigSet(context.Background(), name, value).Err(); err != nil {
			t.Error(err)
		}
	}
	inTurn(t, c, []named{
		{"killed, then empty", fault{
			begin: func(testing.TB) { c.redis.Stop() }, end: c.redis.Run,
			logout: unavailable, lost: true,
		}},
		{"frozen", fault{
			begin: func(testing.TB) { c.redis.Freeze() }, end: func(testing.TB) { c.redis.Thaw() },
			logout: unavailable,
		}},
		{"out of memory", fault{
			begin: func(t testing.TB) { config(t, "maxmemory", "1") },
			end:   func(t testing.TB) { config(t, "maxmemory", "0") },
		}},
		{"flushed", fault{
			begin: func(t testing.TB) {
				if err := c.redis.Client().FlushAll(context.Background()).Err(); err != nil {
					t.Fatal(err)
				}
			},
			end: func(testing.TB) {}, lost: true,
			apart: true, // who follows the feed is forgotten, too, until it notices, half a second later
		}},
	})
	t.Run("an older state", c.testOlderState)
}

// What happens to one node's way to Redis leaves the others as they are.
func TestRedisFaultsOfOneNode(t *testing.T) {
	t.Parallel()
	c := start(t, 2)
	b := c.nodes[1].redis
	healed := func(testing.TB) { b.Heal() }
	inTurn(t, c, []named{
		{"one node cut off", fault{
			begin: func(testing.TB) { b.Cut() }, end: healed,
			logout: [2]int{http.StatusOK, http.StatusServiceUnavailable}, apart: true,
		}},
		{"one node in silence", fault{
			begin: func(testing.TB) { b.Hang() }, end: healed,
			logout: [2]int{http.StatusOK, http.StatusServiceUnavailable}, apart: true,
		}},
		{"one node deaf", fault{
			begin: func(testing.TB) { b.Hang(faultproxy.ToClient) }, end: healed,
			logout: [2]int{http.StatusOK, http.StatusServiceUnavailable}, apart: true,
		}},
	})
	t.Run("late news", c.testLateNews)
	t.Run("killed after half a logout", c.testHalfLogout)
}

// A logout_all that a node tells the others late does not end what was begun since.
func (c *cluster) testLateNews(t *testing.T) {
	a, b := c.nodes[0], c.nodes[1]
	name := c.user(t)
	one, two := a.mustLogin(t, name), a.mustLogin(t, name)
	c.wantAlive(t, one)
	c.wantAlive(t, two)
	b.redis.Cut()
	if a := b.logoutAll(one); a.status != http.StatusServiceUnavailable {
		t.Errorf("logout_all without Redis: %v", a)
	}
	if a := a.logoutAll(two); !a.ok() {
		t.Errorf("logout_all, repeated on the other node: %v", a)
	}
	fresh := a.mustLogin(t, name)
	onA := a.mustOpen(t, fresh)
	b.redis.Heal()
	c.recovers(t)
	c.wantOver(t, one)
	c.wantOver(t, two)
	for until := time.Now().Add(4 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		for _, n := range c.nodes {
			if a := n.use(fresh); !a.ok() {
				t.Fatalf("%s: a session that was begun after the logout_all: %v", n.name, a)
			}
		}
	}
	wantOpen(t, onA)
}

// A node that could not tell the others of a logout, said so, and was killed: repeating the logout makes it good.
func (c *cluster) testHalfLogout(t *testing.T) {
	a, b := c.nodes[0], c.nodes[1]
	token := a.mustLogin(t, c.user(t))
	c.wantAlive(t, token)
	onA := a.mustOpen(t, token)
	b.redis.Cut()
	if a := b.logout(token); a.status != http.StatusServiceUnavailable {
		t.Errorf("logout without Redis: %v", a)
	}
	b.Kill()
	b.redis.Heal()
	b.Launch(c.caddyfile)
	c.repeatLogout(t, b, token)
	wantClosed(t, recovery, onA)
}

// A Redis that comes back with what it saved before a logout has the session again. It stays over: PostgreSQL knows.
func (c *cluster) testOlderState(t *testing.T) {
	ctx := context.Background()
	name, another := c.user(t), c.user(t)
	one, rest, kept := c.nodes[0].mustLogin(t, name), c.nodes[1].mustLogin(t, name), c.nodes[1].mustLogin(t, another)
	single := c.nodes[1].mustLogin(t, another)
	for _, token := range []string{one, rest, kept, single} {
		c.wantAlive(t, token)
	}
	ofKept := c.everywhere(t, kept)
	if err := c.redis.Client().Save(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	dump := filepath.Join(c.redis.Dir, "dump.rdb")
	defer os.Remove(dump) // or the next start would find it
	before, err := c.redis.Client().DBSize(ctx).Result()
	if err != nil || before == 0 {
		t.Fatalf("%d keys, %v", before, err)
	}
	if a := c.nodes[0].logout(single); !a.ok() {
		t.Fatalf("logout: %v", a)
	}
	if a := c.nodes[0].logoutAll(one); !a.ok() {
		t.Fatalf("logout_all: %v", a)
	}
	over := []string{one, rest, single}
	for _, token := range over {
		c.wantOver(t, token)
	}
	c.redis.Stop()
	c.redis.Run(t)
	// At once, without waiting for anything.
	for range 20 {
		for _, n := range c.nodes {
			for _, token := range over {
				if a, h := n.use(token), n.handshake(token); a.ok() || h.ok() {
					t.Fatalf("%s: accepted what was revoked: %v, %v", n.name, a, h)
				}
			}
		}
	}
	t.Logf("it was well again after %v", c.recovers(t))
	for _, token := range over {
		c.wantOver(t, token)
	}
	c.wantAlive(t, kept)
	wantOpen(t, ofKept...)
	c.hears(t)
}
