//go:build linux

package nodes

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// member is one of many users, who log in anew from time to time.
type member struct {
	name  string
	mu    sync.Mutex
	token string
}

func (m *member) current() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.token
}

// Whatever clients break off and however slow Redis is, every answer is for the one who asked.
func (c *cluster) testIdentity(t *testing.T) {
	total := int64(100_000)
	if gatetest.Race {
		total = 8_000 // as many as there is time for
	}
	const users, workers = 200, 32
	members := make([]*member, users)
	for i := range members {
		name := c.user(t)
		members[i] = &member{name: name, token: c.nodes[i%len(c.nodes)].mustLogin(t, name)}
	}
	for _, n := range c.nodes {
		n.redis.Delay(0, 5*time.Millisecond)
		defer n.redis.Heal()
	}
	var asked, brokenOff, logins atomic.Int64
	begin := time.Now()
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for serial := asked.Add(1); serial <= total && !t.Failed(); serial = asked.Add(1) {
				m, n := members[rand.IntN(users)], c.nodes[rand.IntN(len(c.nodes))]
				ctx, cancel := context.Background(), func() {}
				if rand.IntN(10) < 3 {
					ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.Int64N(int64(4*time.Millisecond))))
				}
				var err error
				switch dice := rand.IntN(100); {
				case dice < 5:
					logins.Add(1)
					err = m.logIn(ctx, n)
				case dice < 25:
					err = m.handshake(ctx, n)
				default:
					err = m.ask(ctx, n, serial)
				}
				if ctx.Err() != nil && cancelled(err) {
					brokenOff.Add(1)
				} else if err != nil {
					t.Errorf("%s: %s: %v", n.name, m.name, err)
				}
				cancel()
			}
		})
	}
	all.Wait()
	t.Logf("%d requests, of which %d were broken off and %d logins, in %v", total, brokenOff.Load(), logins.Load(), time.Since(begin).Round(time.Millisecond))
	if brokenOff.Load() < total/50 && !t.Failed() {
		t.Errorf("only %d requests were broken off", brokenOff.Load())
	}
}

func (m *member) ask(ctx context.Context, n *node, serial int64) error {
	token := m.current()
	a := n.call(ctx, http.MethodGet, fmt.Sprintf("/who?n=%d", serial), token, nil)
	return m.judge(a, token, fmt.Sprintf("%s %d", m.name, serial))
}

func (m *member) handshake(ctx context.Context, n *node) error {
	token := m.current()
	s, a := n.openUntil(token, ctx.Done())
	if s != nil {
		s.conn.Close()
		<-s.done
	}
	return m.judge(a, token, m.name)
}

// judge says what is wrong with an answer.
func (m *member) judge(a answer, token, want string) error {
	switch {
	case a.err != nil:
		return a.err
	case a.ok() && a.body != want:
		return fmt.Errorf("the answer is %q, want %q", a.body, want)
	case a.status == http.StatusUnauthorized && m.current() != token: // logged out meanwhile
		return nil
	case !a.ok():
		return fmt.Errorf("%v", a)
	}
	return nil
}

// logIn takes the place of the member's session and ends that.
func (m *member) logIn(ctx context.Context, n *node) error {
	token, a := n.loginCtx(ctx, m.name)
	if a.err != nil {
		return a.err
	}
	if token == "" {
		return fmt.Errorf("%v", a)
	}
	m.mu.Lock()
	old := m.token
	m.token = token
	m.mu.Unlock()
	if a := n.logout(old); a.err != nil || a.status != http.StatusOK {
		return fmt.Errorf("logout: %v", a)
	}
	return nil
}
