package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// codes are a store with the accounts that are in the same database.
type codes struct {
	authcore.CodeStore
	accounts authcore.AccountStore
}

var codeTests = []group[codes]{
	{"lookups", codeLookups},
	{"replacing", codeReplacing},
	{"replacing/at once", codeReplacingRace},
	{"tries", codeTries},
	{"tries/at once", codeTriesRace},
	{"expiry", codeExpiry},
	{"reset", codeReset},
	{"reset/wrong", codeResetWrong},
	{"reset/closed and gone", codeResetClosed},
	{"reset/at once", codeResetRace},
	{"reset/while it is replaced", codeResetReplacing},
	{"reset/while the account is closed", codeResetClosing},
	{"reset/no lost update", codeResetLostUpdate},
	{"deleting", codeDeleting},
	{"times", codeTimes},
	{"hostile strings", codeHostile},
	{"cancellation", codeCanceled},
	{"cancellation/halfway", codeCanceledHalfway},
}

func newCode(a authcore.Account) authcore.Code {
	return authcore.Code{
		Request: authcore.RequestID(newID()), Account: a.ID, Purpose: authcore.CodeReset, Hash: newHash(),
		ExpiresAt: now().Add(authcore.CodeLifetime),
	}
}

func put(t *testing.T, s codes, c authcore.Code) authcore.Code {
	t.Helper()
	must(t, s.PutCode(t.Context(), c))
	return c
}

// wantTry checks that a try of c gets through, as the one after c.Tries, and returns c after it.
func wantTry(t *testing.T, s codes, what string, c authcore.Code) authcore.Code {
	t.Helper()
	got, err := s.TryCode(t.Context(), c.Purpose, c.Request, now())
	must(t, err)
	c.Tries++
	want(t, what, got, c)
	return c
}

func wantNoTry(t *testing.T, s codes, what string, p authcore.CodePurpose, request authcore.RequestID, at time.Time) {
	t.Helper()
	got, err := s.TryCode(t.Context(), p, request, at)
	wantKind(t, what, err, authcore.KindBadCode)
	want(t, what+": what comes with the error", got, authcore.Code{})
}

func codeLookups(t *testing.T, s codes) {
	alice, bob := create(t, s.accounts, confirmed(newAccount("alice"))), create(t, s.accounts, confirmed(newAccount("bob")))
	reset, email, bobs := newCode(alice), newCode(alice), newCode(bob)
	email.Purpose = authcore.CodeEmail
	bobs.Tries = 3 // stored as it is
	for _, c := range []authcore.Code{reset, email, bobs} {
		put(t, s, c)
	}
	for range 2 {
		reset, bobs = wantTry(t, s, "alice's", reset), wantTry(t, s, "bob's", bobs)
		email = wantTry(t, s, "alice's other one", email)
	}
	wantNoTry(t, s, "no tries left", bobs.Purpose, bobs.Request, now())
	wantNoTry(t, s, "another purpose", authcore.CodeEmail, reset.Request, now())
	wantNoTry(t, s, "another purpose", authcore.CodeReset, email.Request, now())
	wantNoTry(t, s, "no purpose", "", reset.Request, now())
	for _, request := range []authcore.RequestID{
		"", "%", "*", authcore.RequestID(newID()), authcore.RequestID(alice.ID), reset.Request[:len(reset.Request)-1], reset.Request + " ", "' OR '1'='1",
	} {
		wantNoTry(t, s, "not quite it: "+string(request), authcore.CodeReset, request, now())
		c := reset
		c.Request = request
		wantNoReset(t, s, "not quite it: "+string(request), c, now(), authcore.KindBadCode)
	}
	wantTry(t, s, "alice's", reset) // none of that counted
	wantAccount(t, s.accounts, alice)
	wantAccount(t, s.accounts, bob)
}

func codeReplacing(t *testing.T, s codes) {
	alice, bob := create(t, s.accounts, confirmed(newAccount("alice"))), create(t, s.accounts, confirmed(newAccount("bob")))
	email, bobs := newCode(alice), put(t, s, newCode(bob))
	email.Purpose = authcore.CodeEmail
	put(t, s, email)
	first := put(t, s, newCode(alice))
	first = wantTry(t, s, "the first", first)
	second := put(t, s, newCode(alice))
	wantNoTry(t, s, "the first, after the second", first.Purpose, first.Request, now())
	wantNoReset(t, s, "the first, after the second", first, now(), authcore.KindBadCode)
	mixed := first
	mixed.Request = second.Request
	wantNoReset(t, s, "the first for the request of the second", mixed, now(), authcore.KindBadCode)
	second = wantTry(t, s, "the second", second)
	again := second
	again.Hash, again.Tries, again.ExpiresAt = newHash(), 0, again.ExpiresAt.Add(time.Minute)
	put(t, s, again) // under the same request
	wantNoReset(t, s, "the second, after another for its request", second, now(), authcore.KindBadCode)
	wantTry(t, s, "the third", again)
	alice = wantReset(t, s, "the third", again, alice, "new")

	fresh := put(t, s, newCode(alice)) // after one that was used
	wantTry(t, s, "after one that was used", fresh)
	wantTry(t, s, "another purpose's", email)
	wantTry(t, s, "another account's", bobs)
}

// codeReplacingRace stores many codes for one account and purpose; one of them must be left, complete.
func codeReplacingRace(t *testing.T, s codes) {
	a := create(t, s.accounts, confirmed(newAccount("alice")))
	for range fewRounds {
		all := make([]authcore.Code, racers)
		parallel(racers, func(i int) {
			all[i] = newCode(a)
			all[i].ExpiresAt = all[i].ExpiresAt.Add(time.Duration(i) * time.Second)
			if err := s.PutCode(t.Context(), all[i]); err != nil {
				t.Error(err)
			}
		})
		alive := 0
		for _, c := range all {
			got, err := s.TryCode(t.Context(), c.Purpose, c.Request, now())
			if err == nil {
				alive++
				c.Tries = 1
				want(t, "the one that is left", got, c)
			} else {
				wantKind(t, "one that was replaced", err, authcore.KindBadCode)
			}
		}
		want(t, "codes that are left", alive, 1)
	}
}

func codeTries(t *testing.T, s codes) {
	a := create(t, s.accounts, confirmed(newAccount("alice")))
	c := put(t, s, newCode(a))
	for i := range authcore.CodeTries {
		wantNoTry(t, s, "of another purpose", authcore.CodeEmail, c.Request, now()) // counts for nothing
		c = wantTry(t, s, fmt.Sprintf("try %d", i+1), c)
	}
	for range 3 {
		wantNoTry(t, s, "one too many", c.Purpose, c.Request, now())
	}
	// Whoever had the last try may still use what it got.
	wantReset(t, s, "after the last try", c, a, "new")
	wantNoTry(t, s, "used", c.Purpose, c.Request, now())
}

func codeTriesRace(t *testing.T, s codes) {
	a := create(t, s.accounts, confirmed(newAccount("alice")))
	for range fewRounds {
		c := put(t, s, newCode(a))
		tries := make([]int, racers)
		parallel(racers, func(i int) {
			got, err := s.TryCode(t.Context(), c.Purpose, c.Request, now())
			if err != nil {
				wantKind(t, "one too many", err, authcore.KindBadCode)
				return
			}
			tries[i] = got.Tries
			got.Tries = 0
			want(t, "the code", got, c)
		})
		slices.Sort(tries)
		through := tries[racers-authcore.CodeTries:]
		for i, n := range through {
			want(t, "tries in order", n, i+1)
		}
		want(t, "one more got through", tries[racers-authcore.CodeTries-1], 0)
		wantNoTry(t, s, "afterwards", c.Purpose, c.Request, now())
	}
}

func codeExpiry(t *testing.T, s codes) {
	at := now()
	for i, c := range []struct {
		what string
		left time.Duration
		dead bool
	}{
		{"long before", -time.Hour, true},
		{"before", -time.Millisecond, true},
		{"now", 0, true},
		{"after", time.Millisecond, false},
		{"long after", time.Hour, false},
	} {
		a := create(t, s.accounts, confirmed(newAccount(fmt.Sprintf("user%d", i))))
		n := newCode(a)
		n.ExpiresAt = at.Add(c.left)
		put(t, s, n)
		if c.dead {
			wantNoTry(t, s, c.what, n.Purpose, n.Request, at)
			wantNoReset(t, s, c.what, n, at, authcore.KindBadCode)
			wantAccount(t, s.accounts, a)
			// It was only too late: by an earlier clock the code is as it was.
			at := n.ExpiresAt.Add(-time.Millisecond)
			got, err := s.TryCode(t.Context(), n.Purpose, n.Request, at)
			must(t, err)
			want(t, c.what+", by an earlier clock", got.Tries, 1)
			_, err = s.ResetPassword(t.Context(), n.Request, n.Hash, "new", at)
			must(t, err)
			continue
		}
		_, err := s.TryCode(t.Context(), n.Purpose, n.Request, at)
		must(t, err)
		_, err = s.ResetPassword(t.Context(), n.Request, n.Hash, "new", at)
		must(t, err)
	}
}

func codeDeleting(t *testing.T, s codes) {
	must(t, s.DeleteCodes(t.Context(), now())) // of none
	at := now().Add(time.Hour)
	cases := []struct {
		what    string
		expires time.Duration // from at
		gone    bool
	}{
		{"long before", -24 * time.Hour, true},
		{"before", -time.Millisecond, true},
		{"now", 0, false},
		{"after", time.Millisecond, false},
		{"long after", 24 * time.Hour, false},
	}
	var all []authcore.Code
	for i, c := range cases {
		a := create(t, s.accounts, confirmed(newAccount(fmt.Sprintf("user%d", i))))
		for _, p := range []authcore.CodePurpose{authcore.CodeReset, authcore.CodeEmail} {
			n := newCode(a)
			n.Purpose, n.ExpiresAt = p, at.Add(c.expires)
			all = append(all, put(t, s, n))
		}
	}
	long := at.Add(-48 * time.Hour) // before any of them expires
	for round := range 2 {
		must(t, s.DeleteCodes(t.Context(), at))
		for i, c := range all {
			what := cases[i/2].what
			if cases[i/2].gone {
				wantNoTry(t, s, what, c.Purpose, c.Request, long)
				continue
			}
			got, err := s.TryCode(t.Context(), c.Purpose, c.Request, long)
			must(t, err)
			c.Tries = round + 1
			want(t, what, got, c)
		}
	}
}

func codeTimes(t *testing.T, s codes) {
	a := create(t, s.accounts, confirmed(newAccount("alice")))
	for _, at := range times {
		c := newCode(a)
		c.ExpiresAt = at
		put(t, s, c)
		got, err := s.TryCode(t.Context(), c.Purpose, c.Request, at.Add(-time.Millisecond).In(time.FixedZone("far", 14*3600)))
		must(t, err)
		wantUTC(t, "code", got.ExpiresAt)
		want(t, "code", got.ExpiresAt, kept(at))
		wantNoTry(t, s, fmt.Sprintf("at %v", at), c.Purpose, c.Request, at)
		wantNoTry(t, s, fmt.Sprintf("at %v", at), c.Purpose, c.Request, kept(at))
	}
}

func codeHostile(t *testing.T, s codes) {
	a := create(t, s.accounts, confirmed(newAccount("alice")))
	var all []authcore.Code
	for i, text := range hostile {
		if len(text) > 1000 { // an index need not take it, and no ID is as long
			continue
		}
		c := newCode(a)
		c.Request, c.Purpose = authcore.RequestID(text), authcore.CodePurpose(text)
		c.Hash = binary[i%len(binary)]
		wantNoTry(t, s, "before", c.Purpose, c.Request, now())
		all = append(all, put(t, s, c))
		reset := newCode(a)
		reset.Request, reset.Hash = "reset "+c.Request, c.Hash
		put(t, s, reset)
		wrong := reset
		wrong.Hash = []byte(text)
		wantNoReset(t, s, text, wrong, now(), authcore.KindBadCode)
		a = wantReset(t, s, text, reset, a, authcore.PasswordHash(text))
	}
	for _, c := range all {
		wantTry(t, s, string(c.Request), c)
	}
}

func codeCanceled(t *testing.T, s codes) {
	a := create(t, s.accounts, confirmed(newAccount("alice")))
	c, other := put(t, s, newCode(a)), newCode(a)
	ctx := canceled()
	wantCanceled(t, "PutCode", s.PutCode(ctx, other))
	got, err := s.TryCode(ctx, c.Purpose, c.Request, now())
	wantCanceled(t, "TryCode", err)
	want(t, "TryCode", got, authcore.Code{})
	reset, err := s.ResetPassword(ctx, c.Request, c.Hash, "new", now())
	wantCanceled(t, "ResetPassword", err)
	wantSame(t, "ResetPassword", reset, authcore.Account{})
	wantCanceled(t, "DeleteCodes", s.DeleteCodes(ctx, now().Add(24*time.Hour)))
	wantAccount(t, s.accounts, a)
	c = wantTry(t, s, "afterwards", c)
	wantReset(t, s, "afterwards", c, a, "new")
}

// codeCanceledHalfway cancels resets at random moments. A second try finds that it was done, or does it.
func codeCanceledHalfway(t *testing.T, s codes) {
	a := create(t, s.accounts, confirmed(newAccount("alice")))
	begun := time.Now()
	a = wantReset(t, s, "at first", put(t, s, newCode(a)), a, "first")
	usual := max(time.Since(begun), time.Millisecond)
	cut, late := 0, 0
	for r := range 2 * fewRounds {
		c := put(t, s, newCode(a))
		first, second := authcore.PasswordHash(fmt.Sprintf("first of round %d", r)), authcore.PasswordHash(fmt.Sprintf("second of round %d", r))
		ctx, cancel := context.WithTimeout(t.Context(), rand.N(usual))
		_, err := s.ResetPassword(ctx, c.Request, c.Hash, first, now())
		cancel()
		a.Epoch++
		if a.PasswordHash = first; err != nil {
			cut++
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("cut off: %v", err)
			}
			if _, err = s.ResetPassword(t.Context(), c.Request, c.Hash, second, now()); err == nil {
				a.PasswordHash = second
			} else {
				late++
				wantKind(t, "cut off after it was done", err, authcore.KindBadCode)
			}
		}
		wantAccount(t, s.accounts, a)
		wantNoTry(t, s, "afterwards", c.Purpose, c.Request, now())
	}
	t.Logf("of %d calls %d were cut off, %d of them after they were done", 2*fewRounds, cut, late)
}
