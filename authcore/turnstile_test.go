package authcore

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// gate is a turnstile with one slot, which is taken until open.
type gate struct {
	turnstile
	mu   sync.Mutex
	in   []string // who went in, in order
	away []string // who was sent away
	wg   sync.WaitGroup
}

func newGate(t *testing.T, room int) *gate {
	t.Helper()
	g := &gate{turnstile: turnstile{free: 1, room: room}}
	if err := g.enter(t.Context(), caller{}, time.Hour); err != nil {
		t.Fatal(err)
	}
	return g
}

// comes has a caller come, and returns when it waits or was sent away.
func (g *gate) comes(ctx context.Context, name, addr string, known bool) {
	g.wg.Go(func() {
		err := g.enter(ctx, caller{netip.MustParseAddr(addr), known}, time.Hour)
		g.mu.Lock()
		if err != nil {
			g.away = append(g.away, name)
		} else {
			g.in = append(g.in, name)
		}
		g.mu.Unlock()
		if err == nil {
			g.leave()
		}
	})
	synctest.Wait()
}

// open lets all in, and checks that nobody is left.
func (g *gate) open(t *testing.T) {
	t.Helper()
	g.leave()
	g.wg.Wait()
	want(t, "waiting", g.all.size, 0)
	want(t, "crowds", len(g.all.parts), 0)
	want(t, "slots", g.free, 1)
}

// Whoever comes after a crowd goes in before most of it: it waits for its turn, not for all of them.
func TestTurnsGoRound(t *testing.T) {
	for _, c := range []struct {
		what, crowd, other string // of crowd, addresses with a number
		known              bool
	}{
		{"another address", "192.0.2.1", "192.0.2.2", false},
		{"another /64", "2001:db8::%x", "2001:db8:0:1::1", false},
		{"another /56", "2001:db8:0:%x::1", "2001:db8:0:100::1", false},
		{"another /48", "2001:db8:0:%x00::1", "2001:db8:1::1", false},
		{"IPv4 beside IPv6", "2001:db8:0:%x00::1", "192.0.2.1", false},
		{"known, from the same address", "192.0.2.1", "192.0.2.1", true},
		{"known, beside all networks", "192.0.%d.1", "192.0.2.1", true},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate(t, 100)
				for i := range 50 {
					addr := c.crowd
					if c.what != "another address" && c.what != "known, from the same address" {
						addr = fmt.Sprintf(c.crowd, i+1)
					}
					g.comes(t.Context(), "crowd", addr, false)
				}
				for range 2 {
					g.comes(t.Context(), "other", c.other, c.known)
				}
				g.open(t)
				want(t, "in", len(g.in), 52)
				first, last := slices.Index(g.in, "other"), 0
				for i, name := range g.in {
					if name == "other" {
						last = i
					}
				}
				want(t, "before the first", first, 1)
				want(t, "before the second", last, 3)
			})
		})
	}
}

// A crowd that takes all the room makes some for others, down to as much as they have.
func TestCrowdsMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, 8)
		for i := range 10 {
			g.comes(t.Context(), fmt.Sprintf("crowd %d", i), fmt.Sprintf("2001:db8:0:%x::1", i), false)
		}
		want(t, "no room", fmt.Sprint(g.away), "[crowd 8 crowd 9]")
		g.comes(t.Context(), "a", "198.51.100.1", false)
		g.comes(t.Context(), "b", "2001:db8:1::1", false)
		g.comes(t.Context(), "home", "192.0.2.1", true)
		want(t, "the newest go", fmt.Sprint(g.away[2:]), "[crowd 7 crowd 6 crowd 5]")
		g.comes(t.Context(), "a again", "198.51.100.1", false)
		g.comes(t.Context(), "a third time", "198.51.100.1", false)
		g.comes(t.Context(), "a once more", "198.51.100.1", false)
		want(t, "until both have as many", fmt.Sprint(g.away[5:]), "[crowd 4 crowd 3 a once more]")
		g.comes(t.Context(), "crowd again", "2001:db8::1", false)
		want(t, "nobody goes for the crowd", fmt.Sprint(g.away[8:]), "[crowd again]")
		g.open(t)
		want(t, "in", fmt.Sprint(g.in), "[crowd 0 home a b crowd 1 a again crowd 2 a third time]")
	})
}

// Those who give up leave no trace, nor take a turn with them.
func TestTurnstileGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, 10)
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 6 {
			use := t.Context()
			if i%2 == 0 {
				use = ctx
			}
			g.comes(use, fmt.Sprint(i), fmt.Sprintf("2001:db8:0:%x::1", i/2), i%3 == 0)
		}
		cancel()
		synctest.Wait()
		want(t, "gave up", len(g.away), 3)
		g.open(t)
		want(t, "in", len(g.in), 3)
		if err := g.enter(t.Context(), caller{}, time.Second); err != nil {
			t.Fatal(err)
		}
		err := g.enter(t.Context(), caller{}, time.Second)
		wantKind(t, "out of patience", err, KindUnavailable)
		g.leave()
		want(t, "slots", g.free, 1)
	})
}

// PWD-04: logins of an address that the account knows do not wait behind a crowd that fills the queue.
func TestPWD04KnownBesideCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, func(_ *StateOptions, p *Policy) {
			p.Hash = HasherOptions{Cost: cheap, Parallel: 1, Queue: 8, Wait: time.Minute}
		})
		h.person(t, "alice")
		h.idle()
		release := occupy(t, h.hasher, 1)
		var crowd, owner sync.WaitGroup
		for i := range 20 {
			crowd.Go(func() {
				c := Client{Addr: netip.MustParseAddr(fmt.Sprintf("198.51.100.%d", i))}
				_, err := h.Login(t.Context(), Credentials{ClaimedName: "alice", Password: NewPassword("wrong password"), Client: c})
				wantKind(t, "the crowd", err, KindWrongPassword, KindUnavailable)
			})
		}
		synctest.Wait()
		owner.Go(func() { h.login(t, "alice") })
		synctest.Wait()
		release()
		owner.Wait()
		crowd.Wait()
		h.idle()
	})
}
