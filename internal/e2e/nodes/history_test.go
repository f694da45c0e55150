//go:build linux

package nodes

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/chatgate/chatgate/internal/faultproxy"
)

// TestHistory records what many clients of two nodes do and see while the network to PostgreSQL and Redis fails at
// random, and checks that it is linearizable: that it could have happened one call after the other, each at some moment
// between its beginning and its end, on one server that never fails.
//
// Each thing is modelled by itself. A name is taken or not: of several who register it, one gets it, and from then on
// nobody. An invite has so many uses, and a code one; see consume_test.go for these, and for the generations of tokens. A
// session does not exist, or lives, or is over: a login makes it live; a logout, or a logout_all of
// its account, ends it; a use is accepted while it lives and refused when it is over. So a use that is accepted after
// an acknowledged logout is a violation, and so is one that is refused though nobody logged out. A logout reaches the
// nodes one after the other, so each node's uses are judged by themselves: on every node it takes effect at one moment
// before it is answered.
//
// A call without a clear answer, 503 or none, may have taken effect at any later time, or never: it is open-ended. A
// use without one says nothing. A node that cannot hear the others believes what it knows for a while (feed_grace).
// So where a node's way to Redis was disturbed lately, an accepted use counts as if it had begun that much earlier.
// Nothing is taken off where only PostgreSQL is away.
func TestHistory(t *testing.T) {
	t.Parallel()
	const clients, accounts = 8, 3
	c := start(t, 2)
	h := &history{began: time.Now(), names: make(map[string][]porcupine.Operation), nodes: c.nodes, disturbed: make([][]span, len(c.nodes))}
	for range accounts {
		h.accounts = append(h.accounts, &recorded{name: c.user(t)})
	}
	h.stock(t, c, 25, 30, 6)
	until := time.Now().Add(20 * time.Second)
	var workers, faults sync.WaitGroup
	for i := range clients {
		workers.Go(func() {
			for time.Now().Before(until) {
				h.step(i)
			}
		})
	}
	over := make(chan struct{})
	for i := range c.nodes {
		faults.Go(func() { h.disturb(i, over) })
	}
	workers.Wait()
	close(over)
	faults.Wait()
	c.recovers(t)
	// Once more, with everything in order: each session is what it was, on every node.
	for _, s := range h.sessions {
		for i := range c.nodes {
			h.use(clients, i, s)
		}
	}

	calls, unknown := h.check(t)
	t.Logf("%d names, %d sessions, %d calls, of which %d ended without a clear answer; %d faults",
		len(h.names), len(h.sessions), calls, unknown, h.faults.Load())
	if calls < 500 || unknown < 20 || len(h.sessions) < 20 || len(h.names) < 20 {
		t.Error("that is too little to show anything")
	}
}

type (
	// recorded is an account, and what was done to all of its sessions.
	recorded struct {
		name string
		all  []porcupine.Operation // calls of logout_all
	}
	// session is one login, and what was done with it.
	session struct {
		owner *recorded
		token string
		ops   []porcupine.Operation
	}
	// act is what is done, and on which node. That only matters for a use.
	act struct {
		what string
		node int
	}
	span struct{ from, to int64 }
)

// history is what was recorded. Times are nanoseconds since it began.
type history struct {
	began  time.Time
	nodes  []*node
	serial atomic.Int64 // of names to register
	faults atomic.Int64

	mu        sync.Mutex
	names     map[string][]porcupine.Operation
	accounts  []*recorded
	sessions  []*session
	disturbed [][]span // of each node's way to Redis

	consumables []*consumable
	ladders     []*ladder
}

const forever = math.MaxInt64 // when a call without a clear answer ends

// What is done, and what came of it.
const (
	register = "register"
	login    = "login"
	use      = "use"
	logout   = "logout" // of the session, or of all of its account
)

const (
	yes     = "yes"     // made, accepted, done
	no      = "no"      // taken, refused
	unknown = "unknown" // open-ended
)

func (h *history) now() int64 { return int64(time.Since(h.began)) }

// record notes a call that ends now.
func record(ops *[]porcupine.Operation, client int, what act, outcome string, call, ret int64) {
	if outcome == unknown {
		ret = forever
	}
	*ops = append(*ops, porcupine.Operation{ClientId: client, Input: what, Output: outcome, Call: call, Return: ret})
}

// step makes one call as a client, at a random node.
func (h *history) step(client int) {
	i := rand.IntN(len(h.nodes))
	switch dice := rand.IntN(100); {
	case dice < 20:
		h.register(client, i)
	case dice < 32:
		h.login(client, i)
	case dice < 42:
		if s := h.pick(); s != nil {
			h.logout(client, i, s)
		}
	case dice < 44:
		if s := h.pick(); s != nil {
			h.logoutAll(client, i, s)
		}
	case dice < 56:
		h.consume(client, i)
	case dice < 66:
		h.climb(client, i)
	default:
		if s := h.pick(); s != nil {
			h.use(client, i, s)
		}
	}
}

// pick returns one of the latest sessions, which others use as well.
func (h *history) pick() *session {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.sessions) == 0 {
		return nil
	}
	return h.sessions[len(h.sessions)-1-rand.IntN(min(len(h.sessions), 10))]
}

func (h *history) register(client, i int) {
	const rivals = 5 // for a name, about
	name := fmt.Sprintf("name%d", h.serial.Add(1)/rivals)
	call := h.now()
	a := h.nodes[i].register(name)
	ret := h.now()
	outcome := unknown
	switch {
	case a.status == http.StatusCreated:
		outcome = yes
	case a.status == http.StatusBadRequest && strings.Contains(a.body, "USER_EXISTS"):
		outcome = no
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	ops := h.names[name]
	record(&ops, client, act{register, i}, outcome, call, ret)
	h.names[name] = ops
}

func (h *history) login(client, i int) {
	h.mu.Lock()
	s := &session{owner: h.accounts[rand.IntN(len(h.accounts))]}
	h.mu.Unlock()
	call := h.now()
	s.token, _ = h.nodes[i].login(s.owner.name)
	if s.token == "" {
		return // a session that nobody has the token of
	}
	record(&s.ops, client, act{login, i}, yes, call, h.now())
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sessions = append(h.sessions, s)
}

// outcome of a call that needs a live session.
func outcome(a answer) string {
	switch {
	case a.ok():
		return yes
	case a.status == http.StatusUnauthorized:
		return no
	}
	return unknown
}

func (h *history) use(client, i int, s *session) {
	call := h.now()
	a := h.nodes[i].use(s.token)
	ret := h.now()
	out := outcome(a)
	if out == unknown {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if out == yes {
		call = h.believedSince(i, call)
	}
	record(&s.ops, client, act{use, i}, out, call, ret)
}

// believedSince returns the time of which a node may speak that says something at call.
func (h *history) believedSince(i int, call int64) int64 {
	const while = int64(feedGrace + 2*time.Second) // how long after a disturbance it may still be so
	for _, d := range h.disturbed[i] {
		if d.from <= call && (d.to == 0 || call <= d.to+while) {
			return max(0, call-int64(feedGrace))
		}
	}
	return call
}

func (h *history) logout(client, i int, s *session) {
	call := h.now()
	a := h.nodes[i].logout(s.token)
	ret := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended(&s.ops, client, i, a, call, ret)
}

// ended notes a logout. One that is refused is as good as a use that is.
func (h *history) ended(ops *[]porcupine.Operation, client, i int, a answer, call, ret int64) {
	if out := outcome(a); out == no {
		record(ops, client, act{use, i}, no, call, ret)
	} else {
		record(ops, client, act{logout, i}, out, call, ret)
	}
}

func (h *history) logoutAll(client, i int, s *session) {
	call := h.now()
	a := h.nodes[i].logoutAll(s.token)
	ret := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	ops := &s.ops // a refusal is about the one session
	if outcome(a) != no {
		ops = &s.owner.all
	}
	h.ended(ops, client, i, a, call, ret)
}

// disturb makes faults between a node and its servers until the end, and heals them.
func (h *history) disturb(i int, over <-chan struct{}) {
	n := h.nodes[i]
	defer n.pg.Heal()
	defer n.redis.Heal()
	pause := func(most time.Duration) bool {
		select {
		case <-time.After(rand.N(most)):
			return true
		case <-over:
			return false
		}
	}
	for pause(1200 * time.Millisecond) {
		p := n.pg
		if rand.IntN(3) == 0 {
			p = n.redis
			h.mu.Lock()
			h.disturbed[i] = append(h.disturbed[i], span{from: h.now()})
			h.mu.Unlock()
		}
		switch rand.IntN(4) {
		case 0:
			p.Cut()
		case 1:
			p.Hang()
		case 2:
			p.Hang(faultproxy.ToClient) // what is asked is done, but not answered
		case 3:
			p.Delay(0, 200*time.Millisecond)
		}
		h.faults.Add(1)
		pause(1200 * time.Millisecond)
		p.Heal()
		if p == n.redis {
			h.mu.Lock()
			h.disturbed[i][len(h.disturbed[i])-1].to = h.now()
			h.mu.Unlock()
		}
	}
}
