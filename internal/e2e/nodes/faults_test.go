//go:build linux

package nodes

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fault is something that breaks, and how it is mended.
type fault struct {
	begin, end func(t testing.TB)
	// Of the calls made while it is broken, on the first node and on the second.
	logout [2]int // what a logout is answered; 0: whatever it is, that must be true
	apart  bool   // the second node hears late of a logout on the first, and believes what it knows for a while
	lost   bool   // sessions are gone with it
}

// named is a fault with its name.
type named struct {
	name string
	fault
}

// inTurn tests one fault after the other on a cluster.
func inTurn(t *testing.T, c *cluster, faults []named) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) { f.test(t, c) })
	}
}

// pace is how long a client waits before it asks everything again: as fast as it can, it would only slow down the clusters
// beside it.
const pace = 10 * time.Millisecond

// observed is what clients saw, by call.
type observed struct {
	mu      sync.Mutex
	counts  map[string]map[int]int
	slowest map[string]time.Duration
}

func newObserved() *observed {
	return &observed{counts: make(map[string]map[int]int), slowest: make(map[string]time.Duration)}
}

// see notes an answer, and finds one that hangs, or is none.
func (o *observed) see(t testing.TB, n *node, what string, a answer) answer {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	key := n.name + " " + what
	if o.counts[key] == nil {
		o.counts[key] = make(map[int]int)
	}
	o.counts[key][a.status]++
	o.slowest[key] = max(o.slowest[key], a.took)
	if a.err != nil || a.took > prompt || !a.ok() && a.status != http.StatusUnauthorized && a.status != http.StatusServiceUnavailable {
		t.Errorf("%s: %v", key, a)
	}
	return a
}

func (o *observed) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var lines []string
	for key, counts := range o.counts {
		lines = append(lines, fmt.Sprintf("%-20s %v, slowest %v", key, counts, o.slowest[key].Round(time.Millisecond)))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// test breaks something and mends it, with clients at work all the while.
func (f fault) test(t *testing.T, c *cluster) {
	name := c.user(t)
	alive, gone, spare, later := c.nodes[0].mustLogin(t, name), c.nodes[0].mustLogin(t, name), c.nodes[0].mustLogin(t, name), c.nodes[0].mustLogin(t, name)
	for _, token := range []string{alive, gone, spare, later} {
		c.wantAlive(t, token)
	}
	ofAlive, ofSpare := c.everywhere(t, alive), c.everywhere(t, spare)
	if a := c.nodes[0].logout(gone); !a.ok() {
		t.Fatalf("logout: %v", a)
	}
	c.wantOver(t, gone)

	f.begin(t)
	mended := false
	defer func() {
		if !mended {
			f.end(t)
		}
	}()
	saw := newObserved()
	a := saw.see(t, c.nodes[0], "logout", c.nodes[0].logout(spare))
	loggedOut := time.Now()
	spareOver := a.ok()
	if f.logout[0] != 0 && a.status != f.logout[0] {
		t.Errorf("logout on A: %v; want %d", a, f.logout[0])
	}
	var mu sync.Mutex
	var lastAccepted time.Time // of spare, by a node that had not heard
	var clients sync.WaitGroup
	until := time.Now().Add(feedGrace + 4*time.Second)
	for i, n := range c.nodes {
		clients.Go(func() {
			if i == 1 {
				if a := saw.see(t, n, "logout", n.logout(later)); f.logout[1] != 0 && a.status != f.logout[1] {
					t.Errorf("logout on B: %v; want %d", a, f.logout[1])
				}
			}
			for round := 0; time.Now().Before(until) && !t.Failed(); round++ {
				time.Sleep(pace)
				saw.see(t, n, "use", n.use(alive))
				saw.see(t, n, "handshake", n.handshake(alive))
				if a, h := saw.see(t, n, "revoked use", n.use(gone)), saw.see(t, n, "revoked handshake", n.handshake(gone)); a.ok() || h.ok() {
					t.Errorf("%s: accepted what was revoked before: %v, %v", n.name, a, h)
				}
				begun := time.Now()
				if a := saw.see(t, n, "use after logout", n.use(spare)); a.ok() && spareOver {
					if !f.apart || i != 1 || begun.Sub(loggedOut) > feedGrace+2*time.Second {
						t.Errorf("%s: accepted %v after a logout that was acknowledged: %v", n.name, begun.Sub(loggedOut), a)
					}
					mu.Lock()
					if begun.After(lastAccepted) {
						lastAccepted = begun
					}
					mu.Unlock()
				}
				_, a := n.login(name)
				saw.see(t, n, "login", a)
				saw.see(t, n, "register", n.register(fmt.Sprintf("%s-%s-%d", name, n.name, round)))
			}
		})
	}
	clients.Wait()
	if !lastAccepted.IsZero() {
		t.Logf("the node that was apart accepted the session for %v after its logout", lastAccepted.Sub(loggedOut).Round(time.Millisecond))
	}
	if !f.lost {
		wantOpen(t, ofAlive...)
	}
	f.end(t)
	mended = true
	t.Logf("what clients saw:\n%s\nit was well again after %v", saw, c.recovers(t))

	for i, token := range []string{spare, later} {
		c.repeatLogout(t, c.nodes[i], token)
	}
	wantClosed(t, recovery, ofSpare...)
	c.wantOver(t, gone)
	if f.lost {
		c.wantOver(t, alive)
		wantClosed(t, recovery, ofAlive...)
	} else {
		c.wantAlive(t, alive)
		wantOpen(t, ofAlive...)
	}
	c.hears(t)
}

// repeatLogout makes a logout good that was not acknowledged. Where it took effect there all the same, the node says so;
// then it may have to tell the others still.
func (c *cluster) repeatLogout(t testing.TB, n *node, token string) {
	t.Helper()
	var a answer
	eventually(t, recovery, "the logout, repeated", func() bool {
		a = n.logout(token)
		return a.ok() || a.status == http.StatusUnauthorized
	})
	if !a.ok() {
		eventually(t, recovery, "every node to hear of the logout", func() bool {
			return !slices.ContainsFunc(c.nodes, func(n *node) bool { return n.use(token).ok() })
		})
	}
	c.wantOver(t, token)
}

// recovers waits until every node does everything again.
func (c *cluster) recovers(t testing.TB) time.Duration {
	t.Helper()
	begin := time.Now()
	var last answer
	for _, n := range c.nodes {
		for {
			c.names++
			name := fmt.Sprintf("again%d", c.names)
			if last = n.register(name); last.ok() {
				var token string
				if token, last = n.login(name); last.ok() {
					if last = n.use(token); last.ok() {
						if last = n.logout(token); last.ok() {
							break
						}
					}
				}
			}
			if time.Since(begin) > recovery {
				t.Fatalf("%s: still not well after %v: %v", n.name, recovery, last)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return time.Since(begin).Round(time.Millisecond)
}

// hears fails the test unless every node hears of a logout on each.
func (c *cluster) hears(t testing.TB) {
	t.Helper()
	name := c.user(t)
	for _, n := range c.nodes {
		token := n.mustLogin(t, name)
		socks := c.everywhere(t, token)
		begin := time.Now()
		if a := n.logout(token); !a.ok() {
			t.Fatalf("%s: logout: %v", n.name, a)
		}
		t.Logf("a logout on %s closed the sockets on all nodes after %v", n.name, wantClosed(t, patience, socks...).Sub(begin).Round(time.Millisecond))
		c.wantOver(t, token)
	}
}
