package storetest

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// wantNoReset checks that c resets nothing.
func wantNoReset(t *testing.T, s codes, what string, c authcore.Code, at time.Time, kind authcore.Kind) {
	t.Helper()
	got, err := s.ResetPassword(t.Context(), c.Request, c.Hash, "stolen", at)
	wantKind(t, what, err, kind)
	wantSame(t, what+": what comes with the error", got, authcore.Account{})
}

// wantReset checks that c resets the password of a, and returns a after it.
func wantReset(t *testing.T, s codes, what string, c authcore.Code, a authcore.Account, hash authcore.PasswordHash) authcore.Account {
	t.Helper()
	got, err := s.ResetPassword(t.Context(), c.Request, c.Hash, hash, now())
	must(t, err)
	a.PasswordHash, a.Epoch, a.Kept = hash, a.Epoch+1, ""
	wantSame(t, what, got, a)
	wantAccount(t, s.accounts, a)
	return a
}

func codeReset(t *testing.T, s codes) {
	a := confirmed(newAccount("alice"))
	a.Epoch, a.Kept = 7, "kept"
	a = create(t, s.accounts, a)
	other := create(t, s.accounts, confirmed(newAccount("bob")))
	email, others := newCode(a), put(t, s, newCode(other))
	email.Purpose = authcore.CodeEmail
	put(t, s, email)
	c := put(t, s, newCode(a)) // without a try: who may use it is not for the store to say
	a = wantReset(t, s, "reset", c, a, "new")
	want(t, "epoch", a.Epoch, 8)
	for range 2 {
		wantNoReset(t, s, "again", c, now(), authcore.KindBadCode)
		wantNoTry(t, s, "again", c.Purpose, c.Request, now())
	}
	done, err := s.accounts.SwapPasswordHash(t.Context(), a.ID, "new", "newer")
	must(t, err)
	want(t, "swap", done, true)
	a.PasswordHash = "newer"
	a = wantReset(t, s, "with a second code", put(t, s, newCode(a)), a, "newest")
	wantAccount(t, s.accounts, a)
	wantAccount(t, s.accounts, other)
	wantTry(t, s, "another purpose's", email)
	wantTry(t, s, "another account's", others)
	wantReset(t, s, "another account's", others, other, "x")
}

func codeResetWrong(t *testing.T, s codes) {
	a, other := create(t, s.accounts, confirmed(newAccount("alice"))), create(t, s.accounts, confirmed(newAccount("bob")))
	email, others := newCode(a), put(t, s, newCode(other))
	email.Purpose = authcore.CodeEmail
	put(t, s, email)
	c := put(t, s, newCode(a))
	c = wantTry(t, s, "at first", c)
	wantNoReset(t, s, "a code of another purpose", email, now(), authcore.KindBadCode)
	for _, hash := range [][]byte{
		nil, {}, newHash(), others.Hash, email.Hash, c.Hash[:31], append(c.Hash[:32:32], 0), []byte("%"), []byte(string(c.Request)),
	} {
		wrong := c
		wrong.Hash = hash
		wantNoReset(t, s, fmt.Sprintf("hash %x", hash), wrong, now(), authcore.KindBadCode)
	}
	wantAccount(t, s.accounts, a)
	wantAccount(t, s.accounts, other)
	c = wantTry(t, s, "after all of that", c) // as it was
	wantReset(t, s, "after all of that", c, a, "new")
	wantReset(t, s, "the other's", others, other, "new")
	wantTry(t, s, "another purpose's", email)
}

func codeResetClosed(t *testing.T, s codes) {
	a := create(t, s.accounts, confirmed(newAccount("alice")))
	c := put(t, s, newCode(a))
	c = wantTry(t, s, "open", c)
	must(t, s.accounts.SetDisabled(t.Context(), a.ID, true))
	a.Disabled = true
	for range 2 {
		wantNoReset(t, s, "closed", c, now(), authcore.KindAccountDisabled)
		wantAccount(t, s.accounts, a)
	}
	wrong := c
	wrong.Hash = newHash()
	wantNoReset(t, s, "closed, with a wrong code", wrong, now(), authcore.KindBadCode)
	wantNoReset(t, s, "closed, too late", c, c.ExpiresAt, authcore.KindBadCode)
	c = wantTry(t, s, "closed", c)
	must(t, s.accounts.SetDisabled(t.Context(), a.ID, false))
	a.Disabled = false
	wantReset(t, s, "open again", c, a, "new")

	// Of an account that is gone the code may still be there.
	gone := confirmed(newAccount("bob"))
	c = put(t, s, newCode(gone))
	for range 2 {
		wantNoReset(t, s, "gone", c, now(), authcore.KindUnknownAccount)
		c = wantTry(t, s, "gone", c)
	}
	gone = create(t, s.accounts, gone)
	wantReset(t, s, "there after all", c, gone, "new")
}

func codeResetRace(t *testing.T, s codes) {
	a := create(t, s.accounts, confirmed(newAccount("alice")))
	for r := range fewRounds {
		c := put(t, s, newCode(a))
		hash := func(i int) authcore.PasswordHash {
			return authcore.PasswordHash(fmt.Sprintf("hash %d of round %d", i, r))
		}
		var wins atomic.Int32
		var winner atomic.Int64
		parallel(racers, func(i int) {
			got, err := s.ResetPassword(t.Context(), c.Request, c.Hash, hash(i), now())
			if err != nil {
				wantKind(t, "a loser", err, authcore.KindBadCode)
				wantSame(t, "a loser", got, authcore.Account{})
				return
			}
			wins.Add(1)
			winner.Store(int64(i))
			want(t, "the winner's epoch", got.Epoch, int64(r+1))
			want(t, "the winner's hash", string(got.PasswordHash), string(hash(i)))
		})
		if wins.Load() != 1 {
			t.Fatalf("%d callers used the same code, want exactly one", wins.Load())
		}
		a.PasswordHash, a.Epoch = hash(int(winner.Load())), int64(r+1)
		wantAccount(t, s.accounts, a)
		wantNoTry(t, s, "afterwards", c.Purpose, c.Request, now())
	}
}

// codeResetReplacing stores a new code while the old one is used and tried. Either may come first; the new one stays.
func codeResetReplacing(t *testing.T, s codes) {
	a := create(t, s.accounts, confirmed(newAccount("alice")))
	for range 2 * fewRounds {
		first, second := put(t, s, newCode(a)), newCode(a)
		parallel(3, func(i int) {
			var err error
			switch i {
			case 0:
				err = s.PutCode(t.Context(), second)
			case 1:
				if _, err = s.ResetPassword(t.Context(), first.Request, first.Hash, "used", now()); err == nil {
					a.PasswordHash, a.Epoch = "used", a.Epoch+1
				} else {
					wantKind(t, "reset after it was replaced", err, authcore.KindBadCode)
					err = nil
				}
			case 2:
				if _, err = s.TryCode(t.Context(), first.Purpose, first.Request, now()); err != nil {
					wantKind(t, "try after it was replaced or used", err, authcore.KindBadCode)
					err = nil
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
		wantAccount(t, s.accounts, a)
		wantNoTry(t, s, "the first", first.Purpose, first.Request, now())
		second = wantTry(t, s, "the second", second)
		a = wantReset(t, s, "the second", second, a, "reset")
	}
}

// codeResetClosing disables an account while its password is reset. It is disabled, and the code is used if and only if
// the password was reset.
func codeResetClosing(t *testing.T, s codes) {
	a := create(t, s.accounts, confirmed(newAccount("alice")))
	for range 2 * fewRounds {
		c := put(t, s, newCode(a))
		var reset bool
		parallel(2, func(i int) {
			if i == 0 {
				if err := s.accounts.SetDisabled(t.Context(), a.ID, true); err != nil {
					t.Error(err)
				}
				return
			}
			_, err := s.ResetPassword(t.Context(), c.Request, c.Hash, "new", now())
			if reset = err == nil; !reset {
				wantKind(t, "after it was closed", err, authcore.KindAccountDisabled)
			}
		})
		if a.Disabled = true; reset {
			a.PasswordHash, a.Epoch = "new", a.Epoch+1
			wantNoTry(t, s, "used", c.Purpose, c.Request, now())
		} else {
			wantTry(t, s, "not used", c)
		}
		wantAccount(t, s.accounts, a)
		must(t, s.accounts.SetDisabled(t.Context(), a.ID, false))
		a.Disabled = false
	}
}

// codeResetLostUpdate catches a store that writes back whole records.
func codeResetLostUpdate(t *testing.T, s codes) {
	a := create(t, s.accounts, confirmed(newAccount("alice")))
	for r := range 2 * fewRounds {
		c := put(t, s, newCode(a))
		name := fmt.Sprintf("name of round %d", r)
		hash := authcore.PasswordHash(fmt.Sprintf("hash of round %d", r))
		parallel(3, func(i int) {
			var err error
			switch i {
			case 0:
				_, err = s.ResetPassword(t.Context(), c.Request, c.Hash, hash, now())
			case 1:
				_, err = s.accounts.SetProfile(t.Context(), a.ID, &name, nil)
			case 2:
				// The hash that a login wanted to replace is not there any more, or replaced by the reset.
				_, err = s.accounts.SwapPasswordHash(t.Context(), a.ID, a.PasswordHash, "rehashed")
			}
			if err != nil {
				t.Error(err)
			}
		})
		a.PasswordHash, a.Epoch, a.DisplayName = hash, a.Epoch+1, name
		wantAccount(t, s.accounts, a)
	}
}
