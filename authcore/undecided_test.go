package authcore

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Right logins of one account at once do not refuse each other, though each counts as a failure until it is decided.
func TestRightLoginsAtOnce(t *testing.T) {
	for _, known := range []bool{false, true} {
		t.Run(fmt.Sprint("known ", known), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, func(_ *StateOptions, p *Policy) {
					p.Hash = HasherOptions{Cost: cheap, Parallel: 2, Queue: 100, Wait: time.Minute}
				})
				h.register(t, "alice")
				if known {
					h.login(t, "alice")
					h.idle()
				}
				release := occupy(t, h.hasher, 2)
				var logins sync.WaitGroup
				for range 20 {
					logins.Go(func() { h.login(t, "alice") })
				}
				synctest.Wait() // all were counted, or wait for those that were
				release()
				logins.Wait()
				h.idle()
				want(t, "flights left", len(h.state.undecided.by), 0)
			})
		})
	}
}

// Wrong ones that wait for each other are refused once as many as are free were decided.
func TestWrongLoginsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, func(_ *StateOptions, p *Policy) {
			p.Hash = HasherOptions{Cost: cheap, Parallel: 1, Queue: 100, Wait: time.Minute}
		})
		h.register(t, "alice")
		release := occupy(t, h.hasher, 1)
		before := h.hasher.hashes.Load()
		var limited atomic.Int32
		var logins sync.WaitGroup
		for range 20 {
			logins.Go(func() {
				if _, err := h.try(t, "alice", "wrong password"); KindOf(err) == KindRateLimited {
					limited.Add(1)
				}
			})
		}
		synctest.Wait()
		release()
		logins.Wait()
		want(t, "limited", limited.Load(), 15)
		want(t, "hashes", h.hasher.hashes.Load()-before, 5)
		want(t, "flights left", len(h.state.undecided.by), 0)
	})
}

// stranger returns a client of a network of its own.
func stranger(i int) Client {
	return Client{Dialect: "test", Addr: netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)})}
}

// PWD-02: whatever strangers try, from however many addresses, the owner gets in at once from where she logged in before.
func TestPWD02OwnerRacesStrangers(t *testing.T) {
	h := newHouse(t)
	h.person(t, "alice")
	h.idle()
	before := h.hasher.hashes.Load()
	const strangers, tries = 60, 20
	parallel(strangers+1, func(i int) {
		for range tries {
			if i == strangers {
				h.login(t, "alice")
				continue
			}
			_, err := h.Login(t.Context(), Credentials{ClaimedName: "alice", Password: NewPassword("wrong password"), Client: stranger(i)})
			wantKind(t, "a stranger", err, KindWrongPassword, KindRateLimited)
		}
	})
	want(t, "guesses that reached the hash", h.hasher.hashes.Load()-before-tries, int64(strangersShare*h.policy.Backoff.Free))
	h.login(t, "alice")

	// One stranger does not delay another, so neither does he delay the owner on the way.
	h = newHouse(t)
	h.person(t, "alice")
	for range 50 {
		_, err := h.Login(t.Context(), Credentials{ClaimedName: "alice", Password: NewPassword("wrong password"), Client: stranger(1)})
		wantKind(t, "a stranger", err, KindWrongPassword, KindRateLimited)
	}
	_, err := h.Login(t.Context(), Credentials{ClaimedName: "alice", Password: NewPassword(rightPassword), Client: stranger(2)})
	want(t, "the owner on the way", err, nil)

	// What the owner gets wrong counts where she is.
	want(t, "her own guesses", h.counted(t, 20, "alice"), 5)

	// A network stays known on another node, and after a restart, but not for ever.
	h.idle()
	next := newHouseOn(t, h.store, h.clock)
	for i := range 100 {
		_, _ = next.Login(t.Context(), Credentials{ClaimedName: "alice", Password: NewPassword("wrong password"), Client: stranger(i)})
	}
	next.login(t, "alice")
	next.idle()
	next.clock.Advance(keepNetworks + time.Hour)
	next.state.purge(t.Context())
	want(t, "networks that are long gone", len(h.store.networks[must[Account](t)(h.store.AccountByUsername(t.Context(), "alice")).ID]), 0)
}
