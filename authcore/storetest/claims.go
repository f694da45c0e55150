package storetest

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// What an address is before and after somebody has proven to read it.

// shared lets an account claim an address that others claim.
var shared = authcore.Creation{SharedEmail: true}

func claim(t *testing.T, s authcore.AccountStore, a authcore.Account) authcore.Account {
	t.Helper()
	got, err := s.CreateAccount(t.Context(), a, shared)
	must(t, err)
	return got
}

// claimant is an account that claims an address.
func claimant(name string, hash []byte) authcore.Account {
	a := newAccount(name)
	a.EmailHash = hash
	return a
}

// wantHolder checks which of the accounts with an address is found by it.
func wantHolder(t *testing.T, s authcore.AccountStore, what string, hash []byte, a authcore.Account) {
	t.Helper()
	got, err := s.AccountByEmailHash(t.Context(), hash)
	must(t, err)
	wantSame(t, what, got, a)
}

// wantByName checks an account without asking for it by its address.
func wantByName(t *testing.T, s authcore.AccountStore, what string, a authcore.Account) {
	t.Helper()
	got, err := s.AccountByUsername(t.Context(), a.Username)
	must(t, err)
	wantSame(t, what, got, a)
}

func accountClaims(t *testing.T, s authcore.AccountStore) {
	hash := newHash()
	first := claim(t, s, claimant("first", hash))
	second := claim(t, s, claimant("second", hash))
	want(t, "what is claimed is not confirmed", first.EmailConfirmed || second.EmailConfirmed, false)
	wantHolder(t, s, "the first claim", hash, first)
	wantByName(t, s, "the second", second)

	for what, c := range map[string]struct {
		a    authcore.Account
		c    authcore.Creation
		kind authcore.Kind
	}{
		"alone":                    {claimant("third", hash), authcore.Creation{}, authcore.KindEmailTaken},
		"a name, alone":            {claimant("first", hash), authcore.Creation{}, authcore.KindUsernameTaken},
		"a name":                   {claimant("second", hash), shared, authcore.KindUsernameTaken},
		"confirmed from the start": {confirmed(claimant("fourth", hash)), shared, authcore.KindEmailTaken},
	} {
		_, err := s.CreateAccount(t.Context(), c.a, c.c)
		wantKind(t, what, err, c.kind)
	}

	other := newHash()
	holder := create(t, s, confirmed(claimant("holder", other)))
	want(t, "as it came", holder.EmailConfirmed, true)
	wantAccount(t, s, holder)
	for _, c := range []authcore.Creation{{}, shared} {
		_, err := s.CreateAccount(t.Context(), claimant("late", other), c)
		wantKind(t, "an address that was confirmed", err, authcore.KindEmailTaken)
	}
	nobodys := claim(t, s, claimant("nobody1", nil))
	wantAccount(t, s, nobodys)
	wantAccount(t, s, claim(t, s, claimant("nobody2", nil)))
}

func confirmed(a authcore.Account) authcore.Account {
	a.EmailConfirmed = true
	return a
}

// accountClaimRace lets many claim one address at once: all of them do, as long as that is allowed.
func accountClaimRace(t *testing.T, s authcore.AccountStore) {
	for r := range rounds {
		hash := newHash()
		accounts := make([]authcore.Account, racers)
		parallel(racers, func(i int) {
			var err error
			if accounts[i], err = s.CreateAccount(t.Context(), claimant(fmt.Sprintf("u%dx%d", r, i), hash), shared); err != nil {
				t.Error(err)
			}
		})
		first := accounts[0]
		for _, a := range accounts {
			if a.Number < first.Number {
				first = a
			}
			wantByName(t, s, "a claimant", a)
		}
		wantHolder(t, s, "the first claim", hash, first)
	}
}

// void is an account whose claim is void.
func void(a authcore.Account) authcore.Account {
	a.Email, a.EmailHash, a.EmailPending = "", nil, false
	return a
}

// emailProving confirms one of several claims. The others are void, with the codes that were sent for them.
func emailProving(t *testing.T, s phones) {
	hash := newHash()
	first, second, pending := claimant("first", hash), claimant("second", hash), newPending("pending")
	pending.EmailHash = hash
	first, second, pending = claim(t, s.accounts, first), claim(t, s.accounts, second), claim(t, s.accounts, pending)
	bystander := create(t, s.accounts, newAccount("bystander"))
	var codes []authcore.Code
	for _, a := range []authcore.Account{first, pending} {
		reset := newCode(a)
		must(t, s.codes.PutCode(t.Context(), reset))
		codes = append(codes, reset, s.emailCode(t, a))
	}
	c, others := s.emailCode(t, second), s.emailCode(t, bystander)

	must(t, s.confirm(t, c, hash))
	second.EmailConfirmed = true
	wantAccount(t, s.accounts, second)
	wantByName(t, s.accounts, "the first claim", void(first))
	wantByName(t, s.accounts, "one that was pending", void(pending))
	wantAccount(t, s.accounts, bystander)
	for _, c := range codes {
		_, err := s.codes.TryCode(t.Context(), c.Purpose, c.Request, now())
		wantKind(t, "a code of a claim that is void", err, authcore.KindBadCode)
	}
	must(t, s.confirm(t, others, bystander.EmailHash))

	wantKind(t, "confirmed already", s.confirm(t, s.emailCode(t, second), hash), authcore.KindBadCode)
	wantKind(t, "a claim that is void", s.confirm(t, s.emailCode(t, first), hash), authcore.KindBadCode)
	_, err := s.accounts.CreateAccount(t.Context(), claimant("late", hash), shared)
	wantKind(t, "a claim that comes later", err, authcore.KindEmailTaken)
	late := newPending("latepending")
	late.EmailHash, late.EmailPending = nil, false
	late = create(t, s.accounts, late)
	wantKind(t, "an address that was confirmed", s.SetPendingEmail(t.Context(), late.ID, hash), authcore.KindEmailTaken)
	wantAccount(t, s.accounts, late)
}

// emailProvingByReset uses a code that was sent to an address to choose a password, which proves that it is read.
func emailProvingByReset(t *testing.T, s phones) {
	hash := newHash()
	first, second := claim(t, s.accounts, claimant("first", hash)), claim(t, s.accounts, claimant("second", hash))
	reset := newCode(second)
	must(t, s.codes.PutCode(t.Context(), reset))
	got, err := s.codes.ResetPassword(t.Context(), reset.Request, reset.Hash, "new", now())
	must(t, err)
	second.PasswordHash, second.Epoch, second.EmailConfirmed = "new", second.Epoch+1, true
	wantSame(t, "what comes back", got, second)
	wantAccount(t, s.accounts, second)
	wantByName(t, s.accounts, "the first claim", void(first))

	// A closed account proves nothing, and nor does one that was written to nowhere.
	hash = newHash()
	closed, other := claim(t, s.accounts, claimant("closed", hash)), claim(t, s.accounts, claimant("other", hash))
	must(t, s.accounts.SetDisabled(t.Context(), closed.ID, true))
	closed.Disabled = true
	nowhere := claimant("nowhere", newHash())
	nowhere.Email = ""
	nowhere = claim(t, s.accounts, nowhere)
	for _, a := range []authcore.Account{closed, nowhere} {
		c := newCode(a)
		must(t, s.codes.PutCode(t.Context(), c))
		_, err := s.codes.ResetPassword(t.Context(), c.Request, c.Hash, "new", now())
		if a.Disabled {
			wantKind(t, "a closed account", err, authcore.KindAccountDisabled)
			continue
		}
		must(t, err)
		nowhere.PasswordHash, nowhere.Epoch = "new", 1
	}
	wantByName(t, s.accounts, "closed", closed)
	wantByName(t, s.accounts, "beside it", other)
	wantByName(t, s.accounts, "written to nowhere", nowhere)
}

// emailProvingRace lets all who claim an address prove it at once, by either kind of code, while others come to claim it.
// One of them wins, and nobody else has the address then.
func emailProvingRace(t *testing.T, s phones) {
	for r := range fewRounds {
		hash := newHash()
		accounts, codes := make([]authcore.Account, racers), make([]authcore.Code, racers)
		for i := range accounts {
			accounts[i] = claim(t, s.accounts, claimant(fmt.Sprintf("u%dx%d", r, i), hash))
			if codes[i] = newCode(accounts[i]); i%2 == 0 {
				codes[i].Purpose = authcore.CodeEmail
			}
			must(t, s.codes.PutCode(t.Context(), codes[i]))
		}
		var winner, wins atomic.Int32
		late := make([]authcore.Account, racers/2)
		parallel(racers+len(late), func(i int) {
			if i >= racers {
				i -= racers
				var err error
				late[i] = claimant(fmt.Sprintf("l%dx%d", r, i), hash)
				if late[i], err = s.accounts.CreateAccount(t.Context(), late[i], shared); err != nil {
					wantKind(t, "a late claim", err, authcore.KindEmailTaken)
				}
				return
			}
			var err error
			if codes[i].Purpose == authcore.CodeEmail {
				err = s.confirm(t, codes[i], hash)
			} else {
				_, err = s.codes.ResetPassword(t.Context(), codes[i].Request, codes[i].Hash, "new", now())
			}
			if err != nil {
				wantKind(t, "a loser", err, authcore.KindBadCode)
				return
			}
			wins.Add(1)
			winner.Store(int32(i))
		})
		if wins.Load() != 1 {
			t.Fatalf("%d accounts have proven the same address, want exactly one", wins.Load())
		}
		w := accounts[winner.Load()]
		if w.EmailConfirmed = true; codes[winner.Load()].Purpose == authcore.CodeReset {
			w.PasswordHash, w.Epoch = "new", 1
		}
		wantAccount(t, s.accounts, w)
		for _, a := range append(accounts, late...) {
			if a.ID != "" && a.ID != w.ID {
				wantByName(t, s.accounts, "a loser", void(a))
			}
		}
	}
}

// emailTrying tries the codes of all accounts that wait for one address together.
func emailTrying(t *testing.T, s phones) {
	hash := newHash()
	try := func(at time.Time) ([]authcore.Code, error) { return s.codes.TryEmailCodes(t.Context(), hash, at) }
	_, err := try(now())
	wantKind(t, "nobody's", err, authcore.KindInvalidEmail)
	claim(t, s.accounts, claimant("claimant", hash)) // waits for nothing
	_, err = try(now())
	wantKind(t, "of no account that waits", err, authcore.KindInvalidEmail)
	var codes []authcore.Code
	for i := range 2 {
		a := newPending(fmt.Sprintf("user%d", i))
		a.EmailHash = hash
		a = claim(t, s.accounts, a)
		_, err = try(now())
		if i == 0 {
			wantKind(t, "without a code", err, authcore.KindBadCode)
		}
		must(t, s.codes.PutCode(t.Context(), newCode(a))) // for another purpose
		codes = append(codes, s.emailCode(t, a))
	}
	s.emailCode(t, create(t, s.accounts, newPending("bystander")))
	codes[0].Tries++ // by the second account's look for a code of its own
	for range authcore.CodeTries - 1 {
		got, err := try(now())
		must(t, err)
		byAccount := make(map[authcore.AccountID]authcore.Code)
		for _, c := range got {
			byAccount[c.Account] = c
		}
		want(t, "codes", len(got), len(codes))
		for i := range codes {
			codes[i].Tries++
			want(t, "a code", byAccount[codes[i].Account], codes[i])
		}
	}
	got, err := try(now())
	must(t, err)
	codes[1].Tries++
	want(t, "the one with a try left", got, codes[1:])
	_, err = try(now())
	wantKind(t, "when all tries are used up", err, authcore.KindBadCode)
	_, err = try(codes[0].ExpiresAt)
	wantKind(t, "when all have expired", err, authcore.KindBadCode)

	fresh := s.emailCode(t, authcore.Account{ID: codes[0].Account})
	var tried atomic.Int32
	parallel(racers, func(int) {
		got, err := try(now())
		if err != nil {
			wantKind(t, "one too many", err, authcore.KindBadCode)
			return
		}
		tried.Add(int32(len(got)))
	})
	want(t, "callers at once that got a code", tried.Load(), int32(authcore.CodeTries))
	wantKind(t, "another account's code", s.codes.ConfirmEmail(t.Context(), codes[1].Request, fresh.Hash, hash, now()), authcore.KindBadCode)
	must(t, s.confirm(t, fresh, hash))
}
