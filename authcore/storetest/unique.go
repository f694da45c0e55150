package storetest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/chatgate/chatgate/authcore"
)

func accountUniqueness(t *testing.T, s authcore.AccountStore) {
	first := create(t, s, newAccount("paypal"))
	if authcore.Username("paypa1").Skeleton() != first.Username.Skeleton() {
		t.Fatal("the names of this test no longer look alike")
	}
	cases := []struct {
		name string
		make func(a *authcore.Account)
		kind authcore.Kind
	}{
		{"username", func(a *authcore.Account) { a.Username = "paypal" }, authcore.KindUsernameTaken},
		{"look-alike", func(a *authcore.Account) { a.Username = "paypa1" }, authcore.KindUsernameTaken},
		{"address", func(a *authcore.Account) { a.EmailHash = first.EmailHash }, authcore.KindEmailTaken},
		{"username and address", func(a *authcore.Account) { a.Username, a.EmailHash = "paypal", first.EmailHash }, authcore.KindUsernameTaken},
		{"look-alike and address", func(a *authcore.Account) { a.Username, a.EmailHash = "paypa1", first.EmailHash }, authcore.KindUsernameTaken},
	}
	for i, c := range cases {
		a := newAccount(fmt.Sprintf("other%d", i))
		fine := a
		c.make(&a)
		got, err := s.CreateAccount(t.Context(), a, authcore.Creation{})
		wantKind(t, c.name, err, c.kind)
		wantSame(t, c.name+": what comes with the error", got, authcore.Account{})
		wantNoAccount(t, s, a)
		wantAccount(t, s, first)
		// What the loser did not share is free, its ID included.
		fine.Number = create(t, s, fine).Number
		wantAccount(t, s, fine)
	}

	again := newAccount("somebody")
	again.ID = first.ID
	_, err := s.CreateAccount(t.Context(), again, authcore.Creation{})
	wantPlain(t, "an ID for the second time", err)
	wantAccount(t, s, first)
	_, err = s.AccountByUsername(t.Context(), "somebody")
	wantKind(t, "the owner of the second", err, authcore.KindUnknownAccount)

	for i := range 3 { // no address is nobody's
		a := newAccount(fmt.Sprintf("nomail%d", i))
		a.Email, a.EmailHash = "", nil
		create(t, s, a)
	}
}

// raceToCreate creates all accounts at once and returns the one that was created; all others must get kind.
func raceToCreate(t *testing.T, s authcore.AccountStore, accounts []authcore.Account, kind authcore.Kind) {
	t.Helper()
	errs := make([]error, len(accounts))
	parallel(len(accounts), func(i int) {
		accounts[i].Number = 0
		var got authcore.Account
		if got, errs[i] = s.CreateAccount(t.Context(), accounts[i], authcore.Creation{}); errs[i] == nil {
			accounts[i] = got
		}
	})
	winners := 0
	for i, err := range errs {
		if err == nil {
			winners++
			wantAccount(t, s, accounts[i])
			continue
		}
		wantKind(t, "a loser", err, kind)
		_, err := s.AccountByID(t.Context(), accounts[i].ID)
		wantKind(t, "a loser's account", err, authcore.KindUnknownAccount)
	}
	if winners != 1 {
		t.Fatalf("%d of %d callers created an account, want exactly one", winners, len(accounts))
	}
}

func accountNameRace(t *testing.T, s authcore.AccountStore) {
	for r := range rounds {
		accounts := make([]authcore.Account, racers)
		for i := range accounts {
			accounts[i] = newAccount(fmt.Sprintf("lol%d", r+2))
			if i%2 == 1 {
				accounts[i].Username = authcore.Username(fmt.Sprintf("1o1%d", r+2))
			}
		}
		raceToCreate(t, s, accounts, authcore.KindUsernameTaken)
	}
}

func accountEmailRace(t *testing.T, s authcore.AccountStore) {
	for r := range rounds {
		hash := newHash()
		accounts := make([]authcore.Account, racers)
		for i := range accounts {
			accounts[i] = newAccount(fmt.Sprintf("u%dx%d", r, i))
			accounts[i].EmailHash = hash
		}
		raceToCreate(t, s, accounts, authcore.KindEmailTaken)
	}
}

// accountCrossedRace lets callers compete for names and addresses at once. A loser's name or address must belong to a
// winner.
func accountCrossedRace(t *testing.T, s authcore.AccountStore) {
	for r := range rounds {
		hashes := [][]byte{newHash(), newHash()}
		accounts := make([]authcore.Account, racers)
		errs := make([]error, racers)
		for i := range accounts {
			accounts[i] = newAccount(fmt.Sprintf("c%dx%d", r, i%2))
			accounts[i].EmailHash = hashes[i/2%2]
		}
		parallel(racers, func(i int) { _, errs[i] = s.CreateAccount(t.Context(), accounts[i], authcore.Creation{}) })
		names, emails := make(map[authcore.Username]int), make(map[string]int)
		for i, err := range errs {
			if err == nil {
				names[accounts[i].Username]++
				emails[string(accounts[i].EmailHash)]++
			}
		}
		for i, err := range errs {
			name, email := names[accounts[i].Username], emails[string(accounts[i].EmailHash)]
			if name > 1 || email > 1 {
				t.Fatalf("a name was given to %d accounts, an address to %d", name, email)
			}
			var e *authcore.Error
			switch {
			case err == nil:
			case !errors.As(err, &e):
				t.Fatalf("a loser got %v", err)
			case e.Kind == authcore.KindUsernameTaken && name == 1:
			case e.Kind == authcore.KindEmailTaken && email == 1:
			default:
				t.Errorf("a caller was told %v, but %d has the name and %d the address", e.Kind, name, email)
			}
		}
	}
}

func accountSwap(t *testing.T, s authcore.AccountStore) {
	a, other := create(t, s, newAccount("alice")), create(t, s, newAccount("bob"))
	steps := []struct {
		name     string
		id       authcore.AccountID
		old, new authcore.PasswordHash
		done     bool
	}{
		{"right", a.ID, a.PasswordHash, "second", true},
		{"stale", a.ID, a.PasswordHash, "third", false},
		{"nobody's", authcore.AccountID(newID()), "second", "third", false},
		{"another case", a.ID, "SECOND", "third", false},
		{"part of it", a.ID, "secon", "third", false},
		{"pattern", a.ID, "%", "third", false},
		{"empty", a.ID, "", "third", false},
		{"itself", a.ID, "second", "second", true},
		{"right again", a.ID, "second", "third", true},
		{"back", a.ID, "third", "second", true},
	}
	for _, st := range steps {
		done, err := s.SwapPasswordHash(t.Context(), st.id, st.old, st.new)
		must(t, err)
		want(t, st.name, done, st.done)
		if done {
			a.PasswordHash = st.new
		}
		wantAccount(t, s, a)
		wantAccount(t, s, other)
	}
}

func accountSwapRace(t *testing.T, s authcore.AccountStore) {
	a := create(t, s, newAccount("alice"))
	for r := range rounds {
		var winner atomic.Int64
		var wins atomic.Int32
		hash := func(i int) authcore.PasswordHash {
			return authcore.PasswordHash(fmt.Sprintf("hash %d of round %d", i, r))
		}
		parallel(racers, func(i int) {
			done, err := s.SwapPasswordHash(t.Context(), a.ID, a.PasswordHash, hash(i))
			if err != nil {
				t.Error(err)
			}
			if done {
				wins.Add(1)
				winner.Store(int64(i))
			}
		})
		if wins.Load() != 1 {
			t.Fatalf("%d callers swapped the same hash, want exactly one", wins.Load())
		}
		a.PasswordHash = hash(int(winner.Load()))
		wantAccount(t, s, a)
	}
}
