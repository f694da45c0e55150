//go:build linux

package nodes

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestThreeNodes is what holds while nothing is broken.
func TestThreeNodes(t *testing.T) {
	t.Parallel()
	c := start(t, 3)
	t.Run("first start", c.testFirstStart)
	t.Run("logout", c.testLogout)
	t.Run("logout_all races", c.testRaces)
	t.Run("known session", c.testKnownSession)
	t.Run("identity", c.testIdentity)
	t.Run("killed node", c.testKilledNode)
}

// A logout on one node closes the sockets of that session everywhere, and no others.
func (c *cluster) testLogout(t *testing.T) {
	const bound = 5 * time.Second // it is to be one
	name, other := c.user(t), c.user(t)
	phone, laptop, tablet := c.nodes[0].mustLogin(t, name), c.nodes[1].mustLogin(t, name), c.nodes[2].mustLogin(t, name)
	bystander := c.nodes[1].mustLogin(t, other)
	onPhone := c.everywhere(t, phone)
	rest := slices.Concat(c.everywhere(t, laptop), c.everywhere(t, tablet))
	apart := c.everywhere(t, bystander)

	begin := time.Now()
	if a := c.nodes[0].logout(phone); a.status != http.StatusOK {
		t.Fatalf("logout: %v", a)
	}
	answered := time.Since(begin)
	t.Logf("logout: answered after %v, the last socket closed after %v", answered, wantClosed(t, bound, onPhone...).Sub(begin))
	c.wantOver(t, phone)
	wantOpen(t, rest...)
	c.wantAlive(t, laptop)

	begin = time.Now()
	if a := c.nodes[2].logoutAll(laptop); a.status != http.StatusOK {
		t.Fatalf("logout_all: %v", a)
	}
	answered = time.Since(begin)
	t.Logf("logout_all: answered after %v, the last socket closed after %v", answered, wantClosed(t, bound, rest...).Sub(begin))
	for _, token := range []string{phone, laptop, tablet} {
		c.wantOver(t, token)
	}
	wantOpen(t, apart...)
	c.wantAlive(t, bystander)
	c.wantAlive(t, c.nodes[1].mustLogin(t, name))
}

// 200 rounds of logout_all against logins, refreshes, handshakes and requests on every node: whatever was obtained before
// logout_all was called is over once it has answered, and stays so; and so is what a refresh makes of it.
func (c *cluster) testRaces(t *testing.T) {
	const accounts, rounds = 4, 50
	var mu sync.Mutex
	var over []string
	t.Run("rounds", func(t *testing.T) {
		for i := range accounts {
			name := c.user(t)
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				var left []string // of the logins that raced the logout_all of the round before
				for range rounds {
					left = c.raceRound(t, name, left, func(tokens []string) {
						mu.Lock()
						defer mu.Unlock()
						over = append(over, tokens...)
					})
				}
			})
		}
	})
	if t.Failed() {
		return
	}
	if len(over) < 2*accounts*rounds {
		t.Errorf("only %d tokens were revoked", len(over))
	}
	begin := time.Now()
	for _, token := range over {
		for _, n := range c.nodes {
			if a := n.use(token); a.status != http.StatusUnauthorized {
				t.Fatalf("%s: a token that was revoked in some round: %v", n.name, a)
			}
		}
		if n := c.nodes[rand.IntN(len(c.nodes))]; n.handshake(token).status != http.StatusUnauthorized {
			t.Fatalf("%s: a handshake with a token that was revoked in some round is not refused", n.name)
		}
	}
	t.Logf("%d revoked tokens were tried again on every node, in %v", len(over), time.Since(begin).Round(time.Millisecond))
}

// raceRound takes tokens that may be over or not, and returns some that were obtained in the race.
func (c *cluster) raceRound(t *testing.T, name string, before []string, revoked func([]string)) (during []string) {
	t.Helper()
	node := func() *node { return c.nodes[rand.IntN(len(c.nodes))] }
	before = append(before, node().mustLogin(t, name), node().mustLogin(t, name))
	caller := before[len(before)-1]

	var mu sync.Mutex
	var socks []*sock      // of tokens of before
	var refreshed []string // likewise
	opened := func(s *sock) {
		if s != nil {
			mu.Lock()
			defer mu.Unlock()
			socks = append(socks, s)
		}
	}
	for _, n := range c.nodes {
		s, _ := n.open(before[rand.IntN(len(before))]) // one from the last round's race may be over
		opened(s)
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			n := node()
			token, a := n.login(name)
			if token == "" {
				t.Errorf("%s: a login during logout_all: %v", n.name, a)
				return
			}
			mu.Lock()
			during = append(during, token)
			mu.Unlock()
			if a := n.use(token); a.status != http.StatusOK && a.status != http.StatusUnauthorized {
				t.Errorf("%s: a request during logout_all: %v", n.name, a)
			}
		})
		all.Go(func() {
			n := node()
			s, a := n.open(before[rand.IntN(len(before))])
			opened(s)
			if a.status != http.StatusSwitchingProtocols && a.status != http.StatusUnauthorized {
				t.Errorf("%s: a handshake during logout_all: %v", n.name, a)
			}
		})
		all.Go(func() {
			n := node()
			token, a := n.refresh(before[rand.IntN(len(before))])
			if token == "" && a.status != http.StatusUnauthorized {
				t.Errorf("%s: a refresh during logout_all: %v", n.name, a)
			}
			if token != "" {
				mu.Lock()
				defer mu.Unlock()
				refreshed = append(refreshed, token)
			}
		})
		all.Go(func() {
			n := node()
			if a := n.use(before[rand.IntN(len(before))]); a.status != http.StatusOK && a.status != http.StatusUnauthorized {
				t.Errorf("%s: a request during logout_all: %v", n.name, a)
			}
		})
	}
	n := node()
	if a := n.logoutAll(caller); a.status != http.StatusOK {
		t.Errorf("%s: logout_all: %v", n.name, a)
	}
	// The race goes on, but these are over by now.
	for _, token := range before {
		for _, n := range c.nodes {
			if a := n.use(token); a.status != http.StatusUnauthorized {
				t.Errorf("%s: a token from before logout_all: %v", n.name, a)
			}
		}
		if n := node(); n.handshake(token).status != http.StatusUnauthorized {
			t.Errorf("%s: a handshake with a token from before logout_all is not refused", n.name)
		}
	}
	all.Wait()
	wantClosed(t, patience, socks...)
	for _, token := range refreshed {
		for _, n := range c.nodes {
			if a := n.use(token); a.status != http.StatusUnauthorized {
				t.Errorf("%s: a token that a refresh made of one from before logout_all: %v", n.name, a)
			}
		}
	}
	revoked(slices.Concat(before, refreshed))
	if t.Failed() {
		t.FailNow()
	}
	return during
}

// A request and a handshake under a session that the node has seen ask neither Redis nor PostgreSQL.
func (c *cluster) testKnownSession(t *testing.T) {
	n := c.nodes[0]
	token := n.mustLogin(t, c.user(t))
	keep := n.mustOpen(t, token) // presence is told for what comes and goes, not for each connection
	handshakes := 500
	commands := func() int64 {
		t.Helper()
		var total int64
		for _, line := range c.commandStats(t) {
			total += line
		}
		return total
	}
	// What a node says by itself, in about the time that the handshakes take.
	idle := func(d time.Duration) (redis, pg, calls int64) {
		r, p, k := n.redis.Stats().Bytes(), n.pg.Stats().Bytes(), commands()
		time.Sleep(d)
		return n.redis.Stats().Bytes() - r, n.pg.Stats().Bytes() - p, commands() - k
	}
	begin := time.Now()
	redis, pg, calls := n.redis.Stats().Bytes(), n.pg.Stats().Bytes(), commands()
	for range handshakes {
		if a := n.handshake(token); !a.ok() {
			t.Fatalf("a handshake: %v", a)
		}
		if a := n.use(token); !a.ok() {
			t.Fatalf("a request: %v", a)
		}
	}
	redis, pg, calls = n.redis.Stats().Bytes()-redis, n.pg.Stats().Bytes()-pg, commands()-calls
	took := time.Since(begin)
	idleRedis, idlePG, idleCalls := idle(took)
	t.Logf("%d handshakes and requests in %v: %d commands and %d bytes at Redis, %d bytes at PostgreSQL; without them: %d, %d and %d",
		handshakes, took.Round(time.Millisecond), calls, redis, pg, idleCalls, idleRedis, idlePG)
	// One call each would be 1,000 commands of some hundred bytes.
	if calls-idleCalls > 200 {
		t.Errorf("Redis was asked %d times more than in the same time without handshakes", calls-idleCalls)
	}
	if redis-idleRedis > int64(handshakes)*40 {
		t.Errorf("%d bytes more than usual went to Redis and back", redis-idleRedis)
	}
	if pg-idlePG > int64(handshakes)*10 {
		t.Errorf("%d bytes more than usual went to PostgreSQL and back", pg-idlePG)
	}
	wantOpen(t, keep)
}

// commandStats returns how often Redis was called, by command, but for what the question itself costs.
func (c *cluster) commandStats(t testing.TB) map[string]int64 {
	t.Helper()
	info, err := c.redis.Client().Info(context.Background(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	return parseCommandStats(info)
}
