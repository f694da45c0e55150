package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// clock is a clock that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// limits is a store of limits with its clock, and helpers of the tests.
type limits struct {
	authcore.LimitStore
	clock *clock
}

// tick is the precision that the tests ask of a store's clock.
const tick = time.Millisecond

var limitTests = []group[limits]{
	{"take", limitTake},
	{"take/at once", limitTakeRace},
	{"take/never more than the budget", limitTakeBudget},
	{"attempt", limitAttempt},
	{"attempt/at once", limitAttemptRace},
	{"attempt/forgotten after a day", limitAttemptForgotten},
	{"forgive", limitForgive},
	{"forgive/at once", limitForgiveRace},
	{"clear", limitClear},
	{"keys and classes apart", limitApart},
	{"flood", limitFlood},
}

// RunLimits tests the stores that open returns. Each call of open returns an empty store with now as its clock. without
// names groups to leave out: "flood" is for a store that bounds the number of keys; leave it out for one whose keys
// expire.
func RunLimits(t *testing.T, open func(t *testing.T, now func() time.Time) authcore.LimitStore, without ...string) {
	t.Helper()
	groups := slices.DeleteFunc(slices.Clone(limitTests), func(g group[limits]) bool { return slices.Contains(without, g.name) })
	if len(groups)+len(without) != len(limitTests) {
		t.Fatalf("a group of %q does not exist", without)
	}
	each(t, groups, func(t *testing.T) limits {
		c := &clock{at: now()}
		return limits{open(t, c.now), c}
	})
}

var (
	rate    = authcore.Rate{Burst: 10, Per: time.Minute} // one every six seconds
	backoff = authcore.Backoff{Free: 5, Base: time.Second, Max: 10 * time.Second}
)

func (l limits) take(t *testing.T, class authcore.LimitClass, key string) time.Duration {
	t.Helper()
	wait, err := l.Take(t.Context(), class, key, rate)
	must(t, err)
	return wait
}

func (l limits) attempt(t *testing.T, class authcore.LimitClass, key string) time.Duration {
	t.Helper()
	wait, err := l.Attempt(t.Context(), class, key, backoff)
	must(t, err)
	return wait
}

// wantWait checks a wait to the tick.
func wantWait(t *testing.T, what string, got, expected time.Duration) {
	t.Helper()
	if diff := got - expected; diff < -tick || diff > tick || (got <= 0) != (expected <= 0) {
		t.Fatalf("%s: told to wait %v, want %v", what, got, expected)
	}
}

// free checks that n attempts pass at once, and that the next does not.
func (l limits) free(t *testing.T, what string, class authcore.LimitClass, key string, n int) {
	t.Helper()
	for i := range n {
		wantWait(t, fmt.Sprintf("%s: free attempt %d", what, i+1), l.attempt(t, class, key), 0)
	}
	wantWait(t, fmt.Sprintf("%s: attempt %d", what, n+1), l.attempt(t, class, key), backoff.Base)
}

func limitTake(t *testing.T, l limits) {
	const class, key = authcore.LimitLogin, "192.0.2.1"
	every := rate.Per / time.Duration(rate.Burst)
	for i := range rate.Burst {
		wantWait(t, fmt.Sprintf("take %d", i+1), l.take(t, class, key), 0)
	}
	for range 100 { // refused, and so not taken
		wantWait(t, "beyond the burst", l.take(t, class, key), every)
	}
	l.clock.advance(every / 2)
	wantWait(t, "halfway", l.take(t, class, key), every/2)
	l.clock.advance(every/2 + tick)
	wantWait(t, "after the wait", l.take(t, class, key), 0)
	wantWait(t, "again", l.take(t, class, key), every-tick)
	l.clock.advance(3 * every)
	for range 3 {
		wantWait(t, "after three waits", l.take(t, class, key), 0)
	}
	if l.take(t, class, key) <= 0 {
		t.Fatal("took four after three waits")
	}
	l.clock.advance(48 * time.Hour)
	for i := range rate.Burst {
		wantWait(t, fmt.Sprintf("take %d after a long time", i+1), l.take(t, class, key), 0)
	}
	if l.take(t, class, key) <= 0 {
		t.Fatal("a long time saved up more than the burst")
	}
}

// passes returns how many of n concurrent callers get through.
func passes(t *testing.T, n int, try func() (time.Duration, error)) int {
	t.Helper()
	var passed atomic.Int32
	parallel(n, func(int) {
		switch wait, err := try(); {
		case err != nil:
			t.Error(err)
		case wait <= 0:
			passed.Add(1)
		}
	})
	return int(passed.Load())
}

func limitTakeRace(t *testing.T, l limits) {
	for r := range rounds {
		key := fmt.Sprintf("2001:db8:%x::/64", r)
		try := func() (time.Duration, error) { return l.Take(t.Context(), authcore.LimitSignup, key, rate) }
		want(t, "takes of 50", passes(t, 50, try), rate.Burst)
		l.clock.advance(rate.Per/time.Duration(rate.Burst) + tick)
		want(t, "takes of 50 after one wait", passes(t, 50, try), 1)
	}
}

// limitTakeBudget lets time pass in random steps. No stretch of it may let more through than a full bucket and its
// refill, and a caller who tries often enough gets all of that.
func limitTakeBudget(t *testing.T, l limits) {
	random := rand.New(rand.NewPCG(1, 2))
	start := l.clock.now()
	var taken []time.Time
	for range 2000 {
		l.clock.advance(time.Duration(random.IntN(4000)) * time.Millisecond)
		if l.take(t, authcore.LimitLogin, "key") <= 0 {
			taken = append(taken, l.clock.now())
		}
	}
	perSecond := float64(rate.Burst) / rate.Per.Seconds()
	for i := range taken {
		for k := i; k < len(taken); k++ {
			most := float64(rate.Burst) + perSecond*(taken[k].Sub(taken[i])+tick).Seconds()
			if n := k - i + 1; float64(n) > most {
				t.Fatalf("%d got through in %v, want no more than %.1f", n, taken[k].Sub(taken[i]), most)
			}
		}
	}
	if all := float64(rate.Burst) + perSecond*l.clock.now().Sub(start).Seconds(); float64(len(taken)) < all-2 {
		t.Errorf("%d got through, want %.0f", len(taken), all)
	}
}

func limitAttempt(t *testing.T, l limits) {
	const class, key = authcore.LimitAccount, "account"
	l.free(t, "at first", class, key, backoff.Free)
	for _, delay := range []time.Duration{1, 2, 4, 8, 10, 10} {
		delay *= time.Second
		for range 100 { // refused, and so not counted
			wantWait(t, "refused", l.attempt(t, class, key), delay)
		}
		l.clock.advance(delay / 2)
		wantWait(t, "halfway", l.attempt(t, class, key), delay/2)
		l.clock.advance(delay/2 + tick)
		wantWait(t, fmt.Sprintf("after %v", delay), l.attempt(t, class, key), 0)
	}
	// A delay, never a lock.
	l.clock.advance(backoff.Max + tick)
	wantWait(t, "in the end", l.attempt(t, class, key), 0)
}

func limitAttemptRace(t *testing.T, l limits) {
	for r := range rounds {
		key := fmt.Sprintf("account %d", r)
		try := func() (time.Duration, error) { return l.Attempt(t.Context(), authcore.LimitAccount, key, backoff) }
		want(t, "attempts of 50", passes(t, 50, try), backoff.Free)
		for _, delay := range []time.Duration{1, 2, 4} {
			want(t, "attempts of 50 before the wait is over", passes(t, 50, try), 0)
			l.clock.advance(delay*time.Second + tick)
			want(t, "attempts of 50 after the wait", passes(t, 50, try), 1)
		}
	}
}

func limitAttemptForgotten(t *testing.T, l limits) {
	const class = authcore.LimitAccount
	for _, key := range []string{"early", "late"} {
		l.free(t, key, class, key, backoff.Free)
	}
	l.clock.advance(24*time.Hour - time.Minute)
	wantWait(t, "within the day", l.attempt(t, class, "early"), 0)
	wantWait(t, "within the day, again", l.attempt(t, class, "early"), 2*backoff.Base)
	l.clock.advance(2 * time.Minute)
	l.free(t, "a day after the last attempt", class, "late", backoff.Free)
	wantWait(t, "a day after the first attempt", l.attempt(t, class, "early"), 0)
	wantWait(t, "a day after the first attempt, again", l.attempt(t, class, "early"), 4*backoff.Base)
}

func (l limits) forgive(t *testing.T, class authcore.LimitClass, key string) {
	t.Helper()
	must(t, l.Forgive(t.Context(), class, key, backoff))
}

func limitForgive(t *testing.T, l limits) {
	const class, key = authcore.LimitAccount, "account"
	for range 3 { // nothing was counted, so nothing is given
		l.forgive(t, class, key)
	}
	l.free(t, "at first", class, key, backoff.Free)
	l.forgive(t, class, key)
	l.free(t, "one forgiven", class, key, 1)
	l.forgive(t, class, key)
	l.forgive(t, class, key)
	l.free(t, "two forgiven", class, key, 2)

	// Beyond the free ones, it takes back the doubling.
	l.clock.advance(backoff.Base + tick)
	wantWait(t, "the sixth", l.attempt(t, class, key), 0)
	wantWait(t, "the seventh", l.attempt(t, class, key), 2*backoff.Base)
	l.forgive(t, class, key)
	wantWait(t, "the sixth forgiven", l.attempt(t, class, key), backoff.Base)

	for range 20 { // more than were counted
		l.forgive(t, class, key)
	}
	l.free(t, "all forgiven", class, key, backoff.Free)
}

// limitForgiveRace takes every attempt back; then it is as if there had been none.
func limitForgiveRace(t *testing.T, l limits) {
	const class = authcore.LimitAccount
	for r := range rounds {
		key := fmt.Sprintf("account %d", r)
		parallel(50, func(int) {
			wait, err := l.Attempt(t.Context(), class, key, backoff)
			if err == nil && wait <= 0 {
				err = l.Forgive(t.Context(), class, key, backoff)
			}
			if err != nil {
				t.Error(err)
			}
		})
		l.free(t, "all forgiven", class, key, backoff.Free)
	}
}

func limitClear(t *testing.T, l limits) {
	const class = authcore.LimitAccount
	must(t, l.Clear(t.Context(), class, "unknown"))
	l.free(t, "at first", class, "account", backoff.Free)
	l.free(t, "at first", class, "other", backoff.Free)
	l.free(t, "at first", authcore.LimitName, "account", backoff.Free)
	for range rate.Burst {
		l.take(t, class, "account")
	}
	must(t, l.Clear(t.Context(), class, "account"))
	l.free(t, "cleared", class, "account", backoff.Free)
	wantWait(t, "another key", l.attempt(t, class, "other"), backoff.Base)
	wantWait(t, "another class", l.attempt(t, authcore.LimitName, "account"), backoff.Base)
	if l.take(t, class, "account") <= 0 {
		t.Error("clearing the failures filled the budget")
	}
}

// limitApart checks that no key counts for another, whatever they contain, and no attempt for a budget.
func limitApart(t *testing.T, l limits) {
	classes := []authcore.LimitClass{authcore.LimitAccount, authcore.LimitName, authcore.LimitLogin, authcore.LimitSignup, authcore.LimitText, authcore.LimitClient, authcore.LimitTarget}
	keys := append([]string{"", "account", "account:", ":account", "name:account", "account}{name"}, hostile...)
	seen := make(map[string]bool)
	for _, key := range keys {
		if seen[key] {
			t.Fatalf("the key %q is twice in this test", key)
		}
		seen[key] = true
		for _, class := range classes {
			what := fmt.Sprintf("class %s, key %.20q", class, key)
			l.free(t, what, class, key, backoff.Free)
			for range rate.Burst {
				wantWait(t, what+": take", l.take(t, class, key), 0)
			}
			if l.take(t, class, key) <= 0 {
				t.Errorf("%s: more than the burst", what)
			}
		}
	}
}

// limitFlood invents names and addresses until every bounded store has dropped its oldest ones. The counters of accounts,
// which nobody can invent, stay.
func limitFlood(t *testing.T, l limits) {
	accounts := make([]string, 10)
	for i := range accounts {
		accounts[i] = newID()
		l.free(t, "at first", authcore.LimitAccount, accounts[i], backoff.Free)
		for range rate.Burst {
			l.take(t, authcore.LimitAccount, accounts[i])
		}
	}
	const each = 5000 // by each racer: 80,000 keys of a class
	parallel(racers, func(i int) {
		for k := range each {
			key := fmt.Sprintf("random %d %d", i, k)
			if _, err := l.Attempt(t.Context(), authcore.LimitName, key, backoff); err != nil {
				t.Error(err)
				return
			}
			if _, err := l.Take(t.Context(), authcore.LimitLogin, key, rate); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for _, account := range accounts {
		wantWait(t, "an account after the flood", l.attempt(t, authcore.LimitAccount, account), backoff.Base)
		if l.take(t, authcore.LimitAccount, account) <= 0 {
			t.Error("the flood filled an account's budget")
		}
	}
}
