//go:build linux

package nodes

import (
	"net/http"
	"testing"
	"time"
)

// Nodes that begin at the same time on an empty database have the same keys: what one gives out is good on all at once.
func (c *cluster) testFirstStart(t *testing.T) {
	name := c.user(t)
	for i, n := range c.nodes {
		token := n.mustLogin(t, name)
		for _, other := range c.nodes {
			if a := other.use(token); a.status != http.StatusOK || a.body != name+" " {
				t.Errorf("%s: a token of %s: %v", other.name, n.name, a)
			}
		}
		if i == 0 {
			c.wantAlive(t, token)
		}
	}
}

// A node that is killed holds no logout up, and comes back knowing what was revoked in the meantime.
func (c *cluster) testKilledNode(t *testing.T) {
	const tries = 12
	name := c.user(t)
	var tokens []string
	var socks [][]*sock
	last := c.nodes[len(c.nodes)-1]
	c2 := &cluster{t: t, nodes: c.nodes[:len(c.nodes)-1]}
	for range tries {
		token := c.nodes[0].mustLogin(t, name)
		c.wantAlive(t, token)
		tokens = append(tokens, token)
		socks = append(socks, c2.everywhere(t, token))
	}
	orphan := last.mustOpen(t, tokens[0])
	last.Kill()
	<-orphan.done
	killed := time.Now()
	for i, token := range tokens {
		begin := time.Now()
		a := c.nodes[i%len(c2.nodes)].logout(token)
		if !a.ok() || a.took > prompt {
			t.Fatalf("a logout %v after a node was killed: %v", begin.Sub(killed), a)
		}
		closed := wantClosed(t, patience, socks[i]...).Sub(begin)
		t.Logf("%v after the kill: a logout took %v, the last socket was closed after %v", begin.Sub(killed).Round(time.Millisecond),
			a.took.Round(time.Millisecond), closed.Round(time.Millisecond))
		c2.wantOver(t, token)
	}
	last.Launch(c.caddyfile)
	for _, token := range tokens {
		c.wantOver(t, token)
	}
	c.hears(t)
}
