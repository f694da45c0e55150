package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// phones are a store with what is in the same database.
type phones struct {
	authcore.PhoneStore
	accounts authcore.AccountStore
	codes    authcore.CodeStore
}

var phoneTests = []group[phones]{
	{"pending", phonePending},
	{"codes", phoneCodes},
	{"codes/replacing", phoneReplacing},
	{"codes/expiry", phoneExpiry},
	{"codes/tries", phoneTries},
	{"codes/tries at once", phoneTriesRace},
	{"validation", phoneValidation},
	{"validation/wrong", phoneValidationWrong},
	{"validation/one code at once", phoneValidationRace},
	{"validation/one number at once", phoneNumberRace},
	{"validation/while a code is stored", phoneStoringRace},
	{"validation/while old accounts go", phoneDeletingRace},
	{"display names", phoneDisplayNames},
	{"address", phoneEmail},
	{"address/at once", phoneEmailRace},
	{"address/proving", emailProving},
	{"address/proving by a reset", emailProvingByReset},
	{"address/proving at once", emailProvingRace},
	{"address/trying", emailTrying},
	{"confirming", emailConfirming},
	{"confirming/wrong", emailConfirmingWrong},
	{"confirming/at once", emailConfirmingRace},
	{"deleting codes", phoneDeletingCodes},
	{"deleting accounts", phoneDeletingAccounts},
	{"hostile bytes", phoneHostile},
	{"cancellation", phoneCanceled},
	{"cancellation/halfway", phoneCanceledHalfway},
}

// newPending returns an account with nothing validated.
func newPending(name string) authcore.Account {
	a := newAccount(name)
	a.Email, a.PhonePending, a.EmailPending = "", true, true
	return a
}

func newPhoneCode(a authcore.Account, phone []byte) authcore.PhoneCode {
	return authcore.PhoneCode{Account: a.ID, Phone: phone, Hash: newHash(), ExpiresAt: now().Add(authcore.CodeLifetime)}
}

func (s phones) put(t *testing.T, c authcore.PhoneCode) authcore.PhoneCode {
	t.Helper()
	must(t, s.PutPhoneCode(t.Context(), c))
	return c
}

// wantTry checks which codes a try for a number returns, in any order.
func (s phones) wantTry(t *testing.T, what string, phone []byte, all ...authcore.PhoneCode) {
	t.Helper()
	got, err := s.TryPhoneCodes(t.Context(), phone, now())
	must(t, err)
	order := func(a, b authcore.PhoneCode) int { return bytes.Compare(a.Hash, b.Hash) }
	slices.SortFunc(got, order)
	slices.SortFunc(all, order)
	want(t, what, got, all)
	for _, c := range got {
		wantUTC(t, what, c.ExpiresAt)
	}
}

func (s phones) wantNoTry(t *testing.T, what string, phone []byte, at time.Time, kind authcore.Kind) {
	t.Helper()
	got, err := s.TryPhoneCodes(t.Context(), phone, at)
	wantKind(t, what, err, kind)
	want(t, what+": what comes with the error", len(got), 0)
}

func (s phones) wantValid(t *testing.T, what string, phone []byte, is bool) {
	t.Helper()
	got, err := s.PhoneValidated(t.Context(), phone)
	must(t, err)
	want(t, what, got, is)
}

func tried(c authcore.PhoneCode, n int) authcore.PhoneCode {
	c.Tries += n
	return c
}

func phonePending(t *testing.T, s phones) {
	for _, pending := range [][2]bool{{false, false}, {true, false}, {false, true}, {true, true}} {
		a := newAccount(fmt.Sprintf("user%v%v", pending[0], pending[1]))
		a.PhonePending, a.EmailPending = pending[0], pending[1]
		got := create(t, s.accounts, a)
		a.Number = got.Number
		wantSame(t, "as created", got, a)
		wantAccount(t, s.accounts, a)
		got, err := s.accounts.SetProfile(t.Context(), a.ID, nil, nil)
		must(t, err)
		wantSame(t, "as changed", got, a)
	}
}

func phoneCodes(t *testing.T, s phones) {
	alice, bob := create(t, s.accounts, newPending("alice")), create(t, s.accounts, newPending("bob"))
	one, two := newHash(), newHash()
	s.wantNoTry(t, "nothing stored", one, now(), authcore.KindInvalidPhone)
	a := s.put(t, newPhoneCode(alice, one))
	s.wantTry(t, "alice's", one, tried(a, 1))
	b := newPhoneCode(bob, one)
	b.Tries = 2 // stored as it is
	s.put(t, b)
	s.wantTry(t, "both", one, tried(a, 2), tried(b, 1))
	for _, other := range [][]byte{two, nil, {}, one[:31], append(one[:32:32], 0), []byte("%")} {
		s.wantNoTry(t, fmt.Sprintf("another number, %x", other), other, now(), authcore.KindInvalidPhone)
	}
	s.wantTry(t, "none of that counted", one, tried(a, 3), tried(b, 2))

	complete := create(t, s.accounts, newAccount("carol"))
	for what, account := range map[string]authcore.Account{"one that is not pending": complete, "nobody": newPending("dave"), "none": {}} {
		wantKind(t, "a code for "+what, s.PutPhoneCode(t.Context(), newPhoneCode(account, two)), authcore.KindUnknownAccount)
	}
	s.wantNoTry(t, "codes that were not stored", two, now(), authcore.KindInvalidPhone)
	wantAccount(t, s.accounts, alice)
	wantAccount(t, s.accounts, complete)
}

func phoneReplacing(t *testing.T, s phones) {
	alice := create(t, s.accounts, newPending("alice"))
	one, two := newHash(), newHash()
	first := s.put(t, newPhoneCode(alice, one))
	s.wantTry(t, "the first", one, tried(first, 1))
	second := s.put(t, newPhoneCode(alice, one))
	s.wantTry(t, "the second", one, tried(second, 1))
	wantKind(t, "the first, after the second", s.ValidatePhone(t.Context(), first, now()), authcore.KindBadCode)
	third := s.put(t, newPhoneCode(alice, two)) // for another number
	s.wantNoTry(t, "the number before", one, now(), authcore.KindInvalidPhone)
	wantKind(t, "the second, after the third", s.ValidatePhone(t.Context(), second, now()), authcore.KindBadCode)
	mixed := third
	mixed.Phone = one
	wantKind(t, "the third for another number", s.ValidatePhone(t.Context(), mixed, now()), authcore.KindBadCode)
	s.wantValid(t, "the number before", one, false)
	must(t, s.ValidatePhone(t.Context(), third, now()))
	s.wantValid(t, "the number before", one, false)
	s.wantValid(t, "the number", two, true)
}

func phoneExpiry(t *testing.T, s phones) {
	at := now()
	for i, left := range []time.Duration{-time.Hour, -time.Millisecond, 0, time.Millisecond, time.Hour} {
		a := create(t, s.accounts, newPending(fmt.Sprintf("user%d", i)))
		c := newPhoneCode(a, newHash())
		c.ExpiresAt = at.Add(left)
		s.put(t, c)
		if left <= 0 {
			s.wantNoTry(t, left.String(), c.Phone, at, authcore.KindInvalidPhone)
			wantKind(t, left.String(), s.ValidatePhone(t.Context(), c, at), authcore.KindBadCode)
			s.wantValid(t, left.String(), c.Phone, false)
			wantAccount(t, s.accounts, a)
			continue
		}
		got, err := s.TryPhoneCodes(t.Context(), c.Phone, at)
		must(t, err)
		want(t, left.String(), got, []authcore.PhoneCode{tried(c, 1)})
		must(t, s.ValidatePhone(t.Context(), c, at))
	}
}

func phoneTries(t *testing.T, s phones) {
	alice, bob := create(t, s.accounts, newPending("alice")), create(t, s.accounts, newPending("bob"))
	phone := newHash()
	a := s.put(t, newPhoneCode(alice, phone))
	for i := range authcore.CodeTries {
		s.wantTry(t, fmt.Sprintf("try %d", i+1), phone, tried(a, i+1))
	}
	for range 3 {
		s.wantNoTry(t, "one too many", phone, now(), authcore.KindBadCode)
	}
	b := s.put(t, newPhoneCode(bob, phone)) // a new one for the same number has tries of its own, and gives none to the old one
	s.wantTry(t, "bob's", phone, tried(b, 1))
	// Whoever had the last try may still use what it got.
	must(t, s.ValidatePhone(t.Context(), a, now()))
	s.wantNoTry(t, "used", phone, now(), authcore.KindInvalidPhone)
}

func phoneTriesRace(t *testing.T, s phones) {
	alice, bob := create(t, s.accounts, newPending("alice")), create(t, s.accounts, newPending("bob"))
	for range fewRounds {
		phone := newHash()
		s.put(t, newPhoneCode(alice, phone))
		s.put(t, newPhoneCode(bob, phone))
		var through [2]atomic.Int32
		parallel(racers, func(int) {
			got, err := s.TryPhoneCodes(t.Context(), phone, now())
			if err != nil {
				wantKind(t, "one too many", err, authcore.KindBadCode)
			}
			for _, c := range got {
				if c.Account == alice.ID {
					through[0].Add(1)
				} else {
					through[1].Add(1)
				}
			}
		})
		for i := range through {
			want(t, "tries that got through", through[i].Load(), int32(authcore.CodeTries))
		}
	}
}

func phoneValidation(t *testing.T, s phones) {
	alice, bob := create(t, s.accounts, newPending("alice")), create(t, s.accounts, newPending("bob"))
	phone, other := newHash(), newHash()
	a, b := s.put(t, newPhoneCode(alice, phone)), s.put(t, newPhoneCode(bob, phone))
	must(t, s.ValidatePhone(t.Context(), a, now()))
	alice.PhonePending = false // and nothing else
	wantAccount(t, s.accounts, alice)
	wantAccount(t, s.accounts, bob)
	s.wantValid(t, "the number", phone, true)
	s.wantValid(t, "another", other, false)
	s.wantNoTry(t, "all codes for it are gone", phone, now(), authcore.KindInvalidPhone)
	for range 2 {
		wantKind(t, "again", s.ValidatePhone(t.Context(), a, now()), authcore.KindBadCode)
		wantKind(t, "another's code", s.ValidatePhone(t.Context(), b, now()), authcore.KindBadCode)
		wantKind(t, "a new code for it", s.PutPhoneCode(t.Context(), newPhoneCode(bob, phone)), authcore.KindPhoneTaken)
		wantKind(t, "a new code of it", s.PutPhoneCode(t.Context(), newPhoneCode(alice, other)), authcore.KindUnknownAccount)
	}
	wantAccount(t, s.accounts, bob)
	c := s.put(t, newPhoneCode(bob, other))
	wantKind(t, "a taken number, refused, takes none away", s.PutPhoneCode(t.Context(), newPhoneCode(bob, phone)), authcore.KindPhoneTaken)
	s.wantTry(t, "bob's", other, tried(c, 1))
	must(t, s.ValidatePhone(t.Context(), c, now()))
	bob.PhonePending = false
	wantAccount(t, s.accounts, bob)
}

func phoneValidationWrong(t *testing.T, s phones) {
	alice, bob := create(t, s.accounts, newPending("alice")), create(t, s.accounts, newPending("bob"))
	a, b := s.put(t, newPhoneCode(alice, newHash())), s.put(t, newPhoneCode(bob, newHash()))
	for what, change := range map[string]func(*authcore.PhoneCode){
		"another hash": func(c *authcore.PhoneCode) { c.Hash = newHash() }, "another's hash": func(c *authcore.PhoneCode) { c.Hash = b.Hash },
		"no hash": func(c *authcore.PhoneCode) { c.Hash = nil }, "part of the hash": func(c *authcore.PhoneCode) { c.Hash = c.Hash[:31] },
		"another number": func(c *authcore.PhoneCode) { c.Phone = newHash() }, "another's number": func(c *authcore.PhoneCode) { c.Phone = b.Phone },
		"another account": func(c *authcore.PhoneCode) { c.Account = bob.ID }, "nobody": func(c *authcore.PhoneCode) { c.Account = "" },
	} {
		wrong := a
		change(&wrong)
		wantKind(t, what, s.ValidatePhone(t.Context(), wrong, now()), authcore.KindBadCode)
		s.wantValid(t, what, wrong.Phone, false)
	}
	wantAccount(t, s.accounts, alice)
	wantAccount(t, s.accounts, bob)
	s.wantTry(t, "after all of that", a.Phone, tried(a, 1))
	must(t, s.ValidatePhone(t.Context(), a, now()))
}

func phoneValidationRace(t *testing.T, s phones) {
	for r := range fewRounds {
		a := create(t, s.accounts, newPending(fmt.Sprintf("user%d", r)))
		c := s.put(t, newPhoneCode(a, newHash()))
		wins := s.race(t, func(int) authcore.PhoneCode { return c })
		want(t, "callers that used the same code", wins, 1)
		a.PhonePending = false
		wantAccount(t, s.accounts, a)
	}
}

// race validates with the code of each racer, and returns how many did.
func (s phones) race(t *testing.T, code func(i int) authcore.PhoneCode) int {
	var wins atomic.Int32
	parallel(racers, func(i int) {
		if err := s.ValidatePhone(t.Context(), code(i), now()); err != nil {
			wantKind(t, "a loser", err, authcore.KindBadCode)
			return
		}
		wins.Add(1)
	})
	return int(wins.Load())
}

func phoneDeletingCodes(t *testing.T, s phones) {
	at := now()
	for i, c := range []struct {
		what  string
		left  time.Duration
		tries int
		stays bool
	}{
		{"long over", -time.Hour, 0, false},
		{"over", -time.Millisecond, 0, false},
		{"now", 0, 0, true},
		{"alive", time.Millisecond, authcore.CodeTries - 1, true},
		{"without tries", time.Hour, authcore.CodeTries, false},
	} {
		a := create(t, s.accounts, newPending(fmt.Sprintf("user%d", i)))
		n := newPhoneCode(a, newHash())
		n.ExpiresAt, n.Tries = at.Add(c.left), c.tries
		s.put(t, n)
		must(t, s.DeletePhoneCodes(t.Context(), at))
		// By an earlier clock, what is there would be good.
		early := at.Add(-2 * time.Hour)
		if _, err := s.TryPhoneCodes(t.Context(), n.Phone, early); c.stays != (err == nil) || err != nil && authcore.KindOf(err) != authcore.KindInvalidPhone {
			t.Errorf("%s: %v", c.what, err)
		}
		if err := s.ValidatePhone(t.Context(), n, early); c.stays != (err == nil) {
			t.Errorf("%s: %v", c.what, err)
		}
		a.PhonePending = !c.stays
		wantAccount(t, s.accounts, a)
	}
}

func phoneDeletingAccounts(t *testing.T, s phones) {
	at := now()
	before := at.Add(-24 * time.Hour)
	type account struct {
		authcore.Account
		goes bool
	}
	var all []account
	add := func(name string, goes bool, change func(*authcore.Account)) {
		a := newPending(name)
		a.CreatedAt = before.Add(-time.Millisecond)
		change(&a)
		all = append(all, account{create(t, s.accounts, a), goes})
	}
	same := func(*authcore.Account) {}
	add("old", true, same)
	add("spent", true, same)
	add("nomail", true, func(a *authcore.Account) { a.EmailHash, a.EmailPending = nil, false })
	add("proven", true, func(a *authcore.Account) { a.EmailPending = false })
	add("young", false, func(a *authcore.Account) { a.CreatedAt = before })
	add("complete", false, func(a *authcore.Account) { a.PhonePending, a.EmailPending = false, false })
	add("emailpending", false, func(a *authcore.Account) { a.PhonePending = false })
	add("closed", false, func(a *authcore.Account) { a.Disabled = true })
	add("trying", false, same)
	over := newPhoneCode(all[1].Account, newHash())
	over.ExpiresAt = at
	s.put(t, over)
	s.put(t, newPhoneCode(all[len(all)-1].Account, newHash()))
	n, err := s.DeleteUnvalidated(t.Context(), before, at)
	must(t, err)
	want(t, "how many went", n, 4)
	for _, a := range all {
		if !a.goes {
			wantAccount(t, s.accounts, a.Account)
			continue
		}
		wantNoAccount(t, s.accounts, a.Account)
		again := newPending(string(a.Username)) // the name and the address are free again
		again.EmailHash = a.EmailHash
		if got := create(t, s.accounts, again); got.Number <= all[len(all)-1].Number {
			t.Errorf("%s: the number %d was used before", a.Username, got.Number)
		}
	}
	n, err = s.DeleteUnvalidated(t.Context(), before, at)
	must(t, err)
	want(t, "how many went then", n, 0)
}

func phoneHostile(t *testing.T, s phones) {
	for i, phone := range binary {
		a := create(t, s.accounts, newPending(fmt.Sprintf("user%d", i)))
		c := newPhoneCode(a, phone)
		c.Hash = binary[len(binary)-1-i]
		s.put(t, c)
		s.wantTry(t, "as stored", phone, tried(c, 1))
		must(t, s.ValidatePhone(t.Context(), c, now()))
		s.wantValid(t, "as stored", phone, true)
		hash := append([]byte("mail"), phone...)
		b := newPending(fmt.Sprintf("other%d", i))
		b.EmailHash, b.EmailPending = nil, false
		b = create(t, s.accounts, b)
		must(t, s.SetPendingEmail(t.Context(), b.ID, hash))
		b.EmailHash, b.EmailPending = hash, true
		wantAccount(t, s.accounts, b)
		must(t, s.confirm(t, s.emailCode(t, b), hash))
	}
}

func phoneCanceled(t *testing.T, s phones) {
	a := create(t, s.accounts, newPending("alice"))
	c, e := s.put(t, newPhoneCode(a, newHash())), s.emailCode(t, a)
	ctx := canceled()
	is, err := s.PhoneValidated(ctx, c.Phone)
	wantCanceled(t, "PhoneValidated", err)
	want(t, "PhoneValidated", is, false)
	wantCanceled(t, "PutPhoneCode", s.PutPhoneCode(ctx, newPhoneCode(a, newHash())))
	got, err := s.TryPhoneCodes(ctx, c.Phone, now())
	wantCanceled(t, "TryPhoneCodes", err)
	want(t, "TryPhoneCodes", len(got), 0)
	wantCanceled(t, "ValidatePhone", s.ValidatePhone(ctx, c, now()))
	wantCanceled(t, "SetPendingEmail", s.SetPendingEmail(ctx, a.ID, newHash()))
	wantCanceled(t, "ConfirmEmail", s.codes.ConfirmEmail(ctx, e.Request, e.Hash, a.EmailHash, now()))
	wantCanceled(t, "DeletePhoneCodes", s.DeletePhoneCodes(ctx, c.ExpiresAt.Add(time.Hour)))
	_, err = s.DeleteUnvalidated(ctx, now().Add(time.Hour), c.ExpiresAt)
	wantCanceled(t, "DeleteUnvalidated", err)
	wantAccount(t, s.accounts, a)
	s.wantTry(t, "the code", c.Phone, tried(c, 1))
	must(t, s.confirm(t, e, a.EmailHash))
	must(t, s.ValidatePhone(t.Context(), c, now()))
}

// phoneCanceledHalfway cancels validations at random moments. The number, the account and the code change together.
func phoneCanceledHalfway(t *testing.T, s phones) {
	start := time.Now()
	first := create(t, s.accounts, newPending("first"))
	must(t, s.ValidatePhone(t.Context(), s.put(t, newPhoneCode(first, newHash())), now()))
	usual := max(time.Since(start), time.Millisecond)
	for r := range rounds {
		a := create(t, s.accounts, newPending(fmt.Sprintf("u%d", r)))
		c := s.put(t, newPhoneCode(a, newHash()))
		ctx, cancel := context.WithTimeout(t.Context(), rand.N(2*usual))
		err := s.ValidatePhone(ctx, c, now())
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cut off: %v", err)
		}
		if err != nil { // what was cut off while it was being committed may still come, and then this does not
			if again := s.ValidatePhone(t.Context(), c, now()); again != nil {
				wantKind(t, "after it was cut off", again, authcore.KindBadCode)
			}
		}
		a.PhonePending = false
		wantAccount(t, s.accounts, a)
		s.wantValid(t, "the number", c.Phone, true)
		s.wantNoTry(t, "the code", c.Phone, now(), authcore.KindInvalidPhone)
	}
}
