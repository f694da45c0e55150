package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// phoneNumberRace validates one number for many accounts at once; only one of them may be validated.
func phoneNumberRace(t *testing.T, s phones) {
	for r := range fewRounds {
		phone := newHash()
		accounts, codes := make([]authcore.Account, racers), make([]authcore.PhoneCode, racers)
		for i := range accounts {
			accounts[i] = create(t, s.accounts, newPending(fmt.Sprintf("u%dx%d", r, i)))
			codes[i] = s.put(t, newPhoneCode(accounts[i], phone))
		}
		wins := s.race(t, func(i int) authcore.PhoneCode { return codes[i] })
		want(t, "accounts that validated the same number", wins, 1)
		free := 0
		for _, a := range accounts {
			got, err := s.accounts.AccountByID(t.Context(), a.ID)
			must(t, err)
			if !got.PhonePending {
				free++
			}
		}
		want(t, "accounts that wait no longer", free, 1)
		s.wantValid(t, "the number", phone, true)
		s.wantNoTry(t, "afterwards", phone, now(), authcore.KindInvalidPhone)
	}
}

// phoneStoringRace stores another code while one is used. Either may come first, and only the current code validates the
// account.
func phoneStoringRace(t *testing.T, s phones) {
	for r := range 2 * fewRounds {
		a := create(t, s.accounts, newPending(fmt.Sprintf("user%d", r)))
		first, second := s.put(t, newPhoneCode(a, newHash())), newPhoneCode(a, newHash())
		var errValidate, errPut error
		parallel(2, func(i int) {
			if i == 0 {
				errValidate = s.ValidatePhone(t.Context(), first, now())
			} else {
				errPut = s.PutPhoneCode(t.Context(), second)
			}
		})
		if errValidate == nil {
			wantKind(t, "a code of an account that is not pending", errPut, authcore.KindUnknownAccount)
			s.wantNoTry(t, "that code", second.Phone, now(), authcore.KindInvalidPhone)
		} else {
			wantKind(t, "a code that was replaced", errValidate, authcore.KindBadCode)
			must(t, errPut)
			s.wantTry(t, "the new code", second.Phone, tried(second, 1))
		}
		a.PhonePending = errValidate != nil
		wantAccount(t, s.accounts, a)
		s.wantValid(t, "the first number", first.Phone, errValidate == nil)
	}
}

// phoneDeletingRace deletes old accounts while one of them is validated. It is either validated or gone.
func phoneDeletingRace(t *testing.T, s phones) {
	for r := range 2 * fewRounds {
		a := newPending(fmt.Sprintf("user%d", r))
		a.CreatedAt = now().Add(-time.Hour)
		a = create(t, s.accounts, a)
		c := s.put(t, newPhoneCode(a, newHash()))
		var errValidate error
		parallel(2, func(i int) {
			if i == 0 {
				errValidate = s.ValidatePhone(t.Context(), c, now())
			} else if _, err := s.DeleteUnvalidated(t.Context(), now(), c.ExpiresAt); err != nil {
				t.Error(err)
			}
		})
		s.wantValid(t, "the number", c.Phone, errValidate == nil)
		if errValidate == nil {
			a.PhonePending = false
			wantAccount(t, s.accounts, a)
		} else {
			wantKind(t, "of an account that is gone", errValidate, authcore.KindBadCode)
			wantNoAccount(t, s.accounts, a)
		}
	}
}
