package authcore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestBackoffDelay(t *testing.T) {
	b := Backoff{Free: 5, Base: time.Second, Max: 15 * time.Minute}
	for failures, delay := range map[int]time.Duration{
		0: 0, 1: 0, 4: 0, 5: time.Second, 6: 2 * time.Second, 7: 4 * time.Second, 14: 512 * time.Second, 15: 15 * time.Minute, 36: 15 * time.Minute,
		100: 15 * time.Minute, 1 << 40: 15 * time.Minute,
	} {
		want(t, fmt.Sprintf("after %d failures", failures), b.delay(failures), delay)
	}
	// Whatever the settings, it grows from Base to Max, and never falls.
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		b := Backoff{Free: 1 + random.IntN(10), Base: 1 + time.Duration(random.Int64N(1<<random.IntN(62)))}
		b.Max = b.Base + time.Duration(random.Int64N(1<<62))
		last := b.Base
		want(t, "first", b.delay(b.Free), b.Base)
		for f := b.Free + 1; f < b.Free+80; f++ {
			if d := b.delay(f); d < last || d > b.Max {
				t.Fatalf("%+v: %v after %d failures, %v after one less", b, d, f, last)
			} else {
				last = d
			}
		}
		want(t, "last", last, b.Max)
	}
}

func TestAddrKey(t *testing.T) {
	key := func(s string) string { return AddrKey(netip.MustParseAddr(s)) }
	for _, same := range [][2]string{
		{"192.0.2.1", "::ffff:192.0.2.1"}, {"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"}, {"fe80::1%eth0", "fe80::2%eth1"},
	} {
		want(t, same[0], key(same[0]), key(same[1]))
	}
	for _, other := range [][2]string{{"192.0.2.1", "192.0.2.2"}, {"2001:db8:1:2::1", "2001:db8:1:3::1"}, {"::1", "127.0.0.1"}} {
		if key(other[0]) == key(other[1]) {
			t.Errorf("%s and %s are counted as one", other[0], other[1])
		}
	}
	want(t, "no address", AddrKey(netip.Addr{}), "invalid IP")
}

// counted tries n wrong passwords on names in turn and says how many reached the hash.
func (h *house) counted(t *testing.T, n int, names ...string) int64 {
	t.Helper()
	before := h.hasher.hashes.Load()
	for i := range n {
		_, err := h.try(t, names[i%len(names)], "wrong password")
		wantKind(t, "a bad login", err, KindWrongPassword, KindUnknownAccount, KindRateLimited)
	}
	return h.hasher.hashes.Load() - before
}

// PWD-01: the delay grows, is never a lock, and the right password gets in as soon as it is over.
func TestPWD01DelayNeverLock(t *testing.T) {
	h := newHouse(t)
	h.register(t, "alice")
	want(t, "bad logins that reached the hash", h.counted(t, 101, "alice"), 5)

	_, err := h.try(t, "alice", rightPassword)
	wantKind(t, "the right password while delayed", err, KindRateLimited)
	want(t, "come back after", AsError(err).RetryAfter, time.Second)

	// A day of it: every wait is served exactly, and none is longer than the longest.
	day := h.clock.Now().Add(24 * time.Hour)
	tries := 0
	for h.clock.Now().Before(day) {
		_, err := h.try(t, "alice", "wrong password")
		if KindOf(err) == KindRateLimited {
			wait := AsError(err).RetryAfter
			if wait <= 0 || wait > 15*time.Minute {
				t.Fatalf("told to wait %v", wait)
			}
			h.clock.Advance(wait)
			continue
		}
		wantKind(t, "after the wait", err, KindWrongPassword)
		if tries++; tries > 1000 {
			t.Fatal("no end of guesses")
		}
	}
	if tries > 110 || tries < 90 {
		t.Errorf("%d guesses in a day, want about a hundred", tries)
	}
	h.clock.Advance(15 * time.Minute)
	h.login(t, "alice")
	want(t, "a success forgets the failures: tries that reached the hash", h.counted(t, 20, "alice"), 5)
}

// PWD-02: one counter an account, whatever the spelling and the client; unknown names are treated alike.
func TestPWD02OneCounter(t *testing.T) {
	h := newHouse(t)
	h.register(t, "alice")
	h.register(t, "bob")
	want(t, "spellings of alice", h.counted(t, 50, "alice", "ALICE", "Ａlice", "aLiCe", "ａｌｉｃｅ", "alice ", "\talice"), 5)
	want(t, "bob, after that", h.counted(t, 20, "bob", "BOB"), 5)
	want(t, "spellings of nobody", h.counted(t, 50, "mallory", "MALLORY", "Ｍallory", "mallory "), 5)
	want(t, "another nobody", h.counted(t, 20, "trent"), 5)
	for _, name := range []string{"al ice", "..", "<b>", "u:alice", "\xff", "", strings.Repeat("x", 1<<20)} {
		want(t, fmt.Sprintf("the impossible name %.20q", name), h.counted(t, 20, name), 5)
	}

	// And from everywhere: all strangers together have four times as many.
	h.register(t, "carol")
	before := h.hasher.hashes.Load()
	for i := range 100 {
		c := Client{Dialect: fmt.Sprint(i), Addr: netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})}
		_, _ = h.Login(t.Context(), Credentials{ClaimedName: "carol", Password: NewPassword("wrong password"), Client: c})
	}
	want(t, "from 100 addresses", h.hasher.hashes.Load()-before, 20)
}

// ENU-02: what an unknown name is told differs from what a known one is told by its kind alone, the sixth time too.
func TestENU02ThrottledAlike(t *testing.T) {
	h := newHouse(t)
	h.register(t, "alice")
	for i := range 12 {
		_, known := h.try(t, "alice", "wrong password")
		_, unknown := h.try(t, "mallory", "wrong password")
		a, b := AsError(known), AsError(unknown)
		if i < 5 {
			wantKind(t, "known", a, KindWrongPassword)
			wantKind(t, "unknown", b, KindUnknownAccount)
		} else {
			wantKind(t, "known, throttled", a, KindRateLimited)
			want(t, "throttled alike", fmt.Sprintf("%+v", *b), fmt.Sprintf("%+v", *a))
		}
		want(t, "come back", b.RetryAfter, a.RetryAfter)
	}
}

// PWD-02: an address has a budget of its own, which an IPv6 subscriber cannot escape within his network.
func TestPWD02Addresses(t *testing.T) {
	h := newHouse(t, func(_ *StateOptions, p *Policy) {
		p.LoginRate, p.SignupRate = Rate{10, time.Minute}, Rate{3, time.Hour}
	})
	names := 0
	tries := func(addr func(i int) netip.Addr, n int) (passed int) {
		for i := range n {
			names++
			_, err := h.Login(t.Context(), Credentials{ClaimedName: fmt.Sprintf("user%d", names), Password: NewPassword("x"), Client: Client{Addr: addr(i)}})
			if KindOf(err) == KindRateLimited {
				if AsError(err).RetryAfter <= 0 {
					t.Error("not told when to come back")
				}
			} else {
				wantKind(t, "a bad login", err, KindUnknownAccount)
				passed++
			}
		}
		return passed
	}
	before := h.hasher.hashes.Load()
	want(t, "one address", tries(func(int) netip.Addr { return netip.MustParseAddr("192.0.2.9") }, 50), 10)
	want(t, "the same, mapped", tries(func(int) netip.Addr { return netip.MustParseAddr("::ffff:192.0.2.9") }, 50), 0)
	want(t, "one /64", tries(func(i int) netip.Addr {
		return netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i+1))
	}, 50), 10)
	want(t, "another /64", tries(func(i int) netip.Addr {
		return netip.MustParseAddr(fmt.Sprintf("2001:db8:0:1::%x", i+1))
	}, 50), 10)
	want(t, "a /56 of many /64s", tries(func(i int) netip.Addr {
		return netip.MustParseAddr(fmt.Sprintf("2001:db8:1:%x::1", i%256))
	}, 300), 40)
	want(t, "a /48 of many /56s", tries(func(i int) netip.Addr {
		return netip.MustParseAddr(fmt.Sprintf("2001:db8:2:%x::1", i))
	}, 1000), 160)
	want(t, "another /48", tries(func(int) netip.Addr { return netip.MustParseAddr("2001:db8:3::1") }, 50), 10)
	want(t, "no address", tries(func(int) netip.Addr { return netip.Addr{} }, 50), 10)
	want(t, "hashes", h.hasher.hashes.Load()-before, 250)
	h.clock.Advance(30 * time.Second)
	want(t, "half a minute later", tries(func(int) netip.Addr { return netip.MustParseAddr("192.0.2.9") }, 50), 5)

	made := 0
	for i := range 10 {
		_, err := h.Register(t.Context(), Registration{ClaimedName: fmt.Sprintf("new%d", i), Password: NewPassword(rightPassword), Client: client})
		if err == nil {
			made++
		} else {
			wantKind(t, "one account too many", err, KindRateLimited)
		}
	}
	want(t, "accounts made", made, 3)
}

// PWD-03: of fifty bad logins at once no more than the free ones reach the hash.
func TestPWD03AtOnce(t *testing.T) {
	for _, name := range []string{"alice", "mallory", "<b>"} {
		h := newHouse(t)
		h.register(t, "alice")
		before := h.hasher.hashes.Load()
		var limited atomic.Int64
		parallel(50, func(int) {
			if _, err := h.try(t, name, "wrong password"); KindOf(err) == KindRateLimited {
				limited.Add(1)
			}
		})
		if n := h.hasher.hashes.Load() - before; n != 5 || limited.Load() != 45 {
			t.Errorf("%s: %d reached the hash, %d were limited", name, n, limited.Load())
		}
	}
}

// PWD-03: names and addresses that somebody invents push out each other, not the counters of accounts.
func TestPWD03InventedNames(t *testing.T) {
	c := newClock()
	limits := must[*MemoryLimits](t)(NewMemoryLimits(c.Now))
	b := DefaultPolicy().Backoff
	ctx := t.Context()
	for range 5 {
		_, _ = limits.Attempt(ctx, LimitAccount, "alice", b)
		_, _ = limits.Attempt(ctx, LimitName, "mallory", b)
	}
	for i := range 200_000 {
		_, _ = limits.Attempt(ctx, LimitName, fmt.Sprint(i), b)
		_, _ = limits.Take(ctx, LimitLogin, fmt.Sprint(i), Rate{1, time.Minute})
	}
	if wait, _ := limits.Attempt(ctx, LimitAccount, "alice", b); wait <= 0 {
		t.Error("invented names pushed out an account's counter")
	}
	for class, size := range classSizes {
		if n := limits.failures[class].Len(); n > size {
			t.Errorf("%d failures of class %s", n, class)
		}
		if n := limits.rates[class].Len(); n > size {
			t.Errorf("%d rates of class %s", n, class)
		}
	}
}

// An attempt that was never decided, because too many came at once, counts for nothing.
func TestUndecidedAttemptsAreForgiven(t *testing.T) {
	h := newHouse(t, func(_ *StateOptions, p *Policy) {
		p.Hash = HasherOptions{Cost: cheap, Parallel: 1, Queue: 0, Wait: time.Minute}
	})
	h.register(t, "alice")
	release := occupy(t, h.hasher, 1)
	for _, name := range []string{"alice", "mallory"} {
		for range 20 {
			_, err := h.try(t, name, "wrong password")
			wantKind(t, "busy", err, KindUnavailable)
		}
	}
	release()
	for free := 0; free == 0; runtime.Gosched() { // until the occupant has left
		h.hasher.turns.mu.Lock()
		free = h.hasher.turns.free
		h.hasher.turns.mu.Unlock()
	}
	want(t, "tries that reached the hash, afterwards", h.counted(t, 20, "alice"), 5)
	want(t, "and for an unknown name", h.counted(t, 20, "mallory"), 5)
}

// brokenLimits is a store of limits that cannot be had.
type brokenLimits struct {
	LimitStore
	broken sync.Map
}

func (b *brokenLimits) fail(op string) error {
	if _, ok := b.broken.Load(op); ok {
		return errStore
	}
	return nil
}

func (b *brokenLimits) Take(ctx context.Context, class LimitClass, key string, r Rate) (time.Duration, error) {
	if err := b.fail("Take"); err != nil {
		return 0, err
	}
	return b.LimitStore.Take(ctx, class, key, r)
}

func (b *brokenLimits) Attempt(ctx context.Context, class LimitClass, key string, f Backoff) (time.Duration, error) {
	if err := b.fail("Attempt"); err != nil {
		return 0, err
	}
	return b.LimitStore.Attempt(ctx, class, key, f)
}

func (b *brokenLimits) Clear(ctx context.Context, class LimitClass, key string) error {
	if err := b.fail("Clear"); err != nil {
		return err
	}
	return b.LimitStore.Clear(ctx, class, key)
}

// DEP-01: where nothing can be counted, nobody gets in, and nothing is hashed.
func TestDEP01LimitsFailClosed(t *testing.T) {
	var broken *brokenLimits
	h := newHouse(t, func(o *StateOptions, _ *Policy) {
		broken = &brokenLimits{LimitStore: o.Limits}
		o.Limits = broken
	})
	h.register(t, "alice")
	for _, op := range []string{"Take", "Attempt", "Clear"} {
		broken.broken.Store(op, true)
		before := h.hasher.hashes.Load()
		_, err := h.try(t, "alice", rightPassword)
		wantKind(t, op, err, KindUnavailable)
		if op != "Clear" && h.hasher.hashes.Load() != before {
			t.Errorf("%s: hashed nonetheless", op)
		}
		broken.broken.Delete(op)
		h.login(t, "alice")
	}
	want(t, "sessions", len(h.store.sessions), 3)
}
