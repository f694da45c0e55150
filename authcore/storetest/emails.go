package storetest

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/chatgate/chatgate/authcore"
)

func phoneEmail(t *testing.T, s phones) {
	alice, bob := newPending("alice"), create(t, s.accounts, newAccount("bob"))
	alice.EmailHash, alice.EmailPending = nil, false
	alice = create(t, s.accounts, alice)
	set := func(what string, hash []byte) {
		t.Helper()
		must(t, s.SetPendingEmail(t.Context(), alice.ID, hash))
		alice.EmailHash, alice.EmailPending = hash, hash != nil
		wantAccount(t, s.accounts, alice)
		wantAccount(t, s.accounts, bob)
	}
	set("none to none", nil)
	first := newHash()
	set("one", first)
	set("the same", first)
	second := newHash()
	set("another", second)
	_, err := s.accounts.AccountByEmailHash(t.Context(), first)
	wantKind(t, "the one before", err, authcore.KindUnknownAccount)
	holder := create(t, s.accounts, confirmed(newAccount("holder")))
	wantKind(t, "one that another has confirmed", s.SetPendingEmail(t.Context(), alice.ID, holder.EmailHash), authcore.KindEmailTaken)
	wantAccount(t, s.accounts, alice)
	must(t, s.SetPendingEmail(t.Context(), alice.ID, bob.EmailHash)) // which bob only claims
	alice.EmailHash = bob.EmailHash
	wantByName(t, s.accounts, "another's claim", alice)
	wantHolder(t, s.accounts, "another's claim", bob.EmailHash, bob)
	set("none", nil)
	set("the first, which is free", first)
	must(t, s.SetPendingEmail(t.Context(), alice.ID, []byte{}))
	alice.EmailHash, alice.EmailPending = nil, false
	wantAccount(t, s.accounts, alice)
	set("one", second)

	// The address may wait longer than the number.
	must(t, s.ValidatePhone(t.Context(), s.put(t, newPhoneCode(alice, newHash())), now()))
	alice.PhonePending = false
	set("another, after the number", first)
	set("none, after the number", nil)
	for _, hash := range [][]byte{newHash(), nil, bob.EmailHash} {
		wantKind(t, "when nothing is pending", s.SetPendingEmail(t.Context(), alice.ID, hash), authcore.KindUnknownAccount)
		wantKind(t, "another's account", s.SetPendingEmail(t.Context(), bob.ID, hash), authcore.KindUnknownAccount)
		wantKind(t, "nobody's account", s.SetPendingEmail(t.Context(), authcore.AccountID(newID()), hash), authcore.KindUnknownAccount)
	}
	carol := newPending("carol")
	carol.EmailPending, carol.EmailConfirmed = false, true // validated before the number
	carol = create(t, s.accounts, carol)
	wantKind(t, "one that was validated", s.SetPendingEmail(t.Context(), carol.ID, newHash()), authcore.KindUnknownAccount)
	for _, a := range []authcore.Account{alice, bob, carol} {
		wantAccount(t, s.accounts, a)
	}
}

func phoneEmailRace(t *testing.T, s phones) {
	accounts := make([]authcore.Account, racers)
	for i := range accounts {
		accounts[i] = create(t, s.accounts, newPending(fmt.Sprintf("user%d", i)))
	}
	for range fewRounds {
		hash := newHash()
		wins := make([]bool, racers)
		parallel(racers, func(i int) {
			err := s.SetPendingEmail(t.Context(), accounts[i].ID, hash)
			if wins[i] = err == nil; !wins[i] {
				t.Error(err)
			}
		})
		for i := range accounts {
			accounts[i].EmailHash = hash
			wantByName(t, s.accounts, "a claimant", accounts[i])
		}
		wantHolder(t, s.accounts, "the first", hash, accounts[0])
	}
}

// emailCode stores a code for the address of an account.
func (s phones) emailCode(t *testing.T, a authcore.Account) authcore.Code {
	t.Helper()
	c := newCode(a)
	c.Purpose = authcore.CodeEmail
	must(t, s.codes.PutCode(t.Context(), c))
	return c
}

func (s phones) confirm(t *testing.T, c authcore.Code, emailHash []byte) error {
	return s.codes.ConfirmEmail(t.Context(), c.Request, c.Hash, emailHash, now())
}

func emailConfirming(t *testing.T, s phones) {
	alice, bob := create(t, s.accounts, newPending("alice")), create(t, s.accounts, newPending("bob"))
	c, others := s.emailCode(t, alice), s.emailCode(t, bob)
	reset := newCode(alice)
	must(t, s.codes.PutCode(t.Context(), reset))
	must(t, s.confirm(t, c, alice.EmailHash))
	alice.EmailPending, alice.EmailConfirmed = false, true // and nothing else
	wantAccount(t, s.accounts, alice)
	wantAccount(t, s.accounts, bob)
	for range 2 {
		wantKind(t, "again", s.confirm(t, c, alice.EmailHash), authcore.KindBadCode)
	}
	_, err := s.codes.TryCode(t.Context(), c.Purpose, c.Request, now())
	wantKind(t, "a try of one that was used", err, authcore.KindBadCode)
	_, err = s.codes.TryCode(t.Context(), reset.Purpose, reset.Request, now())
	must(t, err)
	must(t, s.confirm(t, others, bob.EmailHash))
}

func emailConfirmingWrong(t *testing.T, s phones) {
	alice, bob := create(t, s.accounts, newPending("alice")), create(t, s.accounts, newPending("bob"))
	c, others := s.emailCode(t, alice), s.emailCode(t, bob)
	reset := newCode(alice)
	must(t, s.codes.PutCode(t.Context(), reset))
	wantKind(t, "a code of another purpose", s.confirm(t, reset, alice.EmailHash), authcore.KindBadCode)
	wantKind(t, "another address", s.confirm(t, c, bob.EmailHash), authcore.KindBadCode)
	wantKind(t, "no address", s.confirm(t, c, nil), authcore.KindBadCode)
	for _, hash := range [][]byte{nil, {}, newHash(), others.Hash, reset.Hash, c.Hash[:31]} {
		wrong := c
		wrong.Hash = hash
		wantKind(t, fmt.Sprintf("hash %x", hash), s.confirm(t, wrong, alice.EmailHash), authcore.KindBadCode)
	}
	wrong := c
	wrong.Request = others.Request
	wantKind(t, "another's request", s.confirm(t, wrong, alice.EmailHash), authcore.KindBadCode)
	wantKind(t, "too late", s.codes.ConfirmEmail(t.Context(), c.Request, c.Hash, alice.EmailHash, c.ExpiresAt), authcore.KindBadCode)
	wantKind(t, "of nobody", s.confirm(t, s.emailCode(t, newPending("carol")), newHash()), authcore.KindBadCode)
	must(t, s.SetPendingEmail(t.Context(), alice.ID, newHash()))
	wantKind(t, "the address before", s.confirm(t, c, alice.EmailHash), authcore.KindBadCode)
	must(t, s.SetPendingEmail(t.Context(), alice.ID, alice.EmailHash))
	wantAccount(t, s.accounts, alice)
	wantAccount(t, s.accounts, bob)
	must(t, s.confirm(t, c, alice.EmailHash))

	// One that waits for nothing can be confirmed, too, and once.
	carol := create(t, s.accounts, newAccount("carol"))
	must(t, s.confirm(t, s.emailCode(t, carol), carol.EmailHash))
	carol.EmailConfirmed = true
	wantAccount(t, s.accounts, carol)
	wantKind(t, "confirmed", s.confirm(t, s.emailCode(t, carol), carol.EmailHash), authcore.KindBadCode)
}

func emailConfirmingRace(t *testing.T, s phones) {
	for r := range fewRounds {
		a := create(t, s.accounts, newPending(fmt.Sprintf("user%d", r)))
		c := s.emailCode(t, a)
		var wins atomic.Int32
		parallel(racers, func(int) {
			if err := s.confirm(t, c, a.EmailHash); err != nil {
				wantKind(t, "a loser", err, authcore.KindBadCode)
				return
			}
			wins.Add(1)
		})
		want(t, "callers that used the same code", wins.Load(), 1)
		a.EmailPending, a.EmailConfirmed = false, true
		wantAccount(t, s.accounts, a)
	}
}
