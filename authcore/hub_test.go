package authcore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// hub is the feed, and the presence store, of several houses in one process.
type hub struct {
	mu       sync.Mutex
	members  []*member
	presence map[AccountID]map[*member]map[SessionID]int
}

// member is one house's part of a hub.
type member struct {
	hub      *hub
	name     string
	follower Follower // nil while nobody follows
	cut      bool     // hears nothing, and cannot publish
	mute     bool     // does not answer
	heal     chan struct{}
}

func (h *hub) join() *member {
	m := &member{hub: h, name: fmt.Sprint(len(h.members)), heal: make(chan struct{}, 1)}
	h.members = append(h.members, m)
	return m
}

func (m *member) Publish(_ context.Context, e NodeEvent) ([]NodeReceipt, error) {
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	if m.cut {
		return nil, errors.New("cut off")
	}
	var out []NodeReceipt
	for _, o := range m.hub.members {
		if o == m {
			continue
		}
		r := NodeReceipt{Node: o.name}
		if o.follower != nil && !o.cut && !o.mute {
			r.Answered, r.Closed = true, o.follower.Apply(e)
		}
		out = append(out, r)
	}
	return out, nil
}

func (m *member) Follow(ctx context.Context, f Follower) {
	m.set(func() { m.follower = f; f.Reset() })
	defer m.set(func() { m.follower = nil })
	for {
		m.set(func() {
			if !m.cut {
				f.Fresh(time.Now())
			}
		})
		select {
		case <-time.After(500 * time.Millisecond):
		case <-m.heal:
			f.Reset()
		case <-ctx.Done():
			return
		}
	}
}

func (m *member) set(change func()) {
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	change()
}

func (m *member) cutOff() { m.set(func() { m.cut = true }) }

func (m *member) reconnect() {
	m.set(func() { m.cut = false })
	m.heal <- struct{}{}
}

func (m *member) SetPresence(_ context.Context, accounts map[AccountID]map[SessionID]int) error {
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	for account, sessions := range accounts {
		if m.hub.presence[account] == nil {
			m.hub.presence[account] = make(map[*member]map[SessionID]int)
		}
		m.hub.presence[account][m] = sessions
	}
	return nil
}

func (m *member) Presence(_ context.Context, account AccountID) (map[SessionID]int, error) {
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	out := make(map[SessionID]int)
	for _, sessions := range m.hub.presence[account] {
		for id, n := range sessions {
			out[id] += n
		}
	}
	return out, nil
}

type nodeHouse struct {
	*house
	feed *member
}

// nodes runs f with n houses over one store, in a bubble of its own time.
func nodes(t *testing.T, n int, f func(t *testing.T, nodes []nodeHouse), settings ...setting) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &hub{presence: make(map[AccountID]map[*member]map[SessionID]int)}
		store := newMemory()
		all := make([]nodeHouse, n)
		for i := range all {
			feed := h.join()
			all[i] = nodeHouse{newHouseOn(t, store, newClock(), append([]setting{func(o *StateOptions, _ *Policy) {
				o.Feed, o.Presence, o.FeedGrace, o.LiveGrace, o.Now = feed, feed, 3*time.Second, time.Minute, time.Now
			}}, settings...)...), feed}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for _, n := range all {
			running.Go(func() { n.state.Run(ctx) })
		}
		synctest.Wait()
		f(t, all)
		store.onCall(nil)
		cancel()
		running.Wait()
	})
}

// passes lets time go by.
func passes(d time.Duration) {
	time.Sleep(d) // of the bubble
	synctest.Wait()
}
