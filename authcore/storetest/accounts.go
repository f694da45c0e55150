package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

var accountTests = []group[authcore.AccountStore]{
	{"lookups", accountLookups},
	{"numbers", accountNumbers},
	{"uniqueness", accountUniqueness},
	{"uniqueness/a name at once", accountNameRace},
	{"uniqueness/an address at once", accountEmailRace},
	{"uniqueness/crossed", accountCrossedRace},
	{"claims", accountClaims},
	{"claims/at once", accountClaimRace},
	{"compare-and-swap", accountSwap},
	{"compare-and-swap/at once", accountSwapRace},
	{"disabling", accountDisabling},
	{"profile", accountProfile},
	{"profile/hostile strings", accountProfileHostile},
	{"display names", accountDisplayNames},
	{"display names/at once", accountDisplayNameRace},
	{"no lost update", accountLostUpdate},
	{"times", accountTimes},
	{"hostile strings", accountHostile},
	{"cancellation", accountCanceled},
	{"cancellation/halfway", accountCanceledHalfway},
}

func newAccount(name string) authcore.Account {
	return authcore.Account{
		ID: authcore.AccountID(newID()), Username: authcore.Username(name), DisplayName: "Name of " + name,
		AvatarURL: "https://example.com/a.png", Bot: true, Email: name + "@example.com", EmailHash: newHash(),
		PasswordHash: "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5", CreatedAt: now(),
	}
}

func create(t *testing.T, s authcore.AccountStore, a authcore.Account) authcore.Account {
	t.Helper()
	got, err := s.CreateAccount(t.Context(), a, authcore.Creation{})
	must(t, err)
	return got
}

// wantAccount checks that every lookup finds a as it is.
func wantAccount(t *testing.T, s authcore.AccountStore, a authcore.Account) {
	t.Helper()
	got, err := s.AccountByID(t.Context(), a.ID)
	must(t, err)
	wantSame(t, "by ID", got, a)
	got, err = s.AccountByUsername(t.Context(), a.Username)
	must(t, err)
	wantSame(t, "by username", got, a)
	if a.EmailHash != nil {
		got, err = s.AccountByEmailHash(t.Context(), a.EmailHash)
		must(t, err)
		wantSame(t, "by e-mail hash", got, a)
	}
}

// wantSame compares accounts, and their password hashes separately, since those do not print.
func wantSame(t *testing.T, what string, got, a authcore.Account) {
	t.Helper()
	want(t, what, got, a)
	want(t, what+", password hash", string(got.PasswordHash), string(a.PasswordHash))
}

// wantNoAccount checks that no trace of a is left.
func wantNoAccount(t *testing.T, s authcore.AccountStore, a authcore.Account) {
	t.Helper()
	_, err := s.AccountByID(t.Context(), a.ID)
	wantKind(t, "by ID", err, authcore.KindUnknownAccount)
	if got, err := s.AccountByUsername(t.Context(), a.Username); err == nil && got.ID == a.ID {
		t.Error("an account that was not created is found by its username")
	}
	if got, err := s.AccountByEmailHash(t.Context(), a.EmailHash); err == nil && got.ID == a.ID {
		t.Error("an account that was not created is found by its e-mail hash")
	}
}

func accountLookups(t *testing.T, s authcore.AccountStore) {
	full := newAccount("alice")
	bare := authcore.Account{ID: authcore.AccountID(newID()), Username: "bob", PasswordHash: "x", CreatedAt: now()}
	closed := newAccount("carol")
	closed.Disabled, closed.Epoch, closed.Kept = true, 1<<40, "kept"
	for _, a := range []authcore.Account{full, bare, closed} { // stored as they are, whatever epoch they begin with
		got := create(t, s, a)
		a.Number = got.Number
		wantSame(t, "as created", got, a)
		wantAccount(t, s, a)
	}
	for _, id := range []string{newID(), "", "alice", "' OR '1'='1", "%"} {
		_, err := s.AccountByID(t.Context(), authcore.AccountID(id))
		wantKind(t, "unknown ID "+id, err, authcore.KindUnknownAccount)
	}
	for _, name := range []string{"dave", "", "ALICE", "alic", "alice ", "al%", "a_ice", "alice*", string(full.ID)} {
		_, err := s.AccountByUsername(t.Context(), authcore.Username(name))
		wantKind(t, "unknown username "+name, err, authcore.KindUnknownAccount)
	}
	// bob has no address: nothing may find him by none.
	for _, hash := range [][]byte{nil, {}, newHash(), full.EmailHash[:31], append(full.EmailHash[:32:32], 0)} {
		_, err := s.AccountByEmailHash(t.Context(), hash)
		wantKind(t, fmt.Sprintf("unknown hash of %d bytes", len(hash)), err, authcore.KindUnknownAccount)
	}
}

func accountNumbers(t *testing.T, s authcore.AccountStore) {
	seen := make(map[int64]bool)
	for i := range 20 {
		a := newAccount(fmt.Sprintf("user%d", i))
		a.Number = 7 // not for the caller to say
		got := create(t, s, a)
		if got.Number <= 0 || seen[got.Number] {
			t.Errorf("account %d has number %d: not positive or not unique", i, got.Number)
		}
		seen[got.Number] = true
	}
}

func accountDisabling(t *testing.T, s authcore.AccountStore) {
	a, other := create(t, s, newAccount("alice")), create(t, s, newAccount("bob"))
	for _, disabled := range []bool{true, true, false, false, true} {
		must(t, s.SetDisabled(t.Context(), a.ID, disabled))
		a.Disabled = disabled
		wantAccount(t, s, a)
		wantAccount(t, s, other)
	}
	// A closed account keeps its name and address.
	thief := newAccount("alice")
	_, err := s.CreateAccount(t.Context(), thief, authcore.Creation{})
	wantKind(t, "name of a closed account", err, authcore.KindUsernameTaken)
	wantKind(t, "nobody's account", s.SetDisabled(t.Context(), authcore.AccountID(newID()), true), authcore.KindUnknownAccount)
}

func accountProfile(t *testing.T, s authcore.AccountStore) {
	a, other := create(t, s, newAccount("alice")), create(t, s, newAccount("bob"))
	text := func(s string) *string { return &s }
	for _, c := range []struct {
		what                 string
		name, avatar         *string
		wantName, wantAvatar string
	}{
		{"nothing", nil, nil, a.DisplayName, a.AvatarURL},
		{"the name", text("Alice"), nil, "Alice", a.AvatarURL},
		{"the avatar", nil, text("https://example.com/b.png"), "Alice", "https://example.com/b.png"},
		{"both", text("A"), text("https://example.com/c.png"), "A", "https://example.com/c.png"},
		{"the same again", text("A"), text("https://example.com/c.png"), "A", "https://example.com/c.png"},
		{"the name, to none", text(""), nil, "", "https://example.com/c.png"},
		{"the avatar, to none", nil, text(""), "", ""},
		{"nothing of nothing", nil, nil, "", ""},
	} {
		got, err := s.SetProfile(t.Context(), a.ID, c.name, c.avatar)
		must(t, err)
		a.DisplayName, a.AvatarURL = c.wantName, c.wantAvatar
		wantSame(t, c.what, got, a)
		wantAccount(t, s, a)
		wantAccount(t, s, other)
	}
	must(t, s.SetDisabled(t.Context(), a.ID, true)) // whether a closed account may do so is not for the store to say
	a.Disabled, a.DisplayName = true, "closed"
	got, err := s.SetProfile(t.Context(), a.ID, text("closed"), nil)
	must(t, err)
	wantSame(t, "a closed account's", got, a)
	for _, id := range []authcore.AccountID{authcore.AccountID(newID()), "", "alice", "%"} {
		got, err := s.SetProfile(t.Context(), id, text("x"), text("y"))
		wantKind(t, "nobody's", err, authcore.KindUnknownAccount)
		wantSame(t, "what comes with the error", got, authcore.Account{})
	}
	wantAccount(t, s, a)
	wantAccount(t, s, other)
}

func accountProfileHostile(t *testing.T, s authcore.AccountStore) {
	a := create(t, s, newAccount("alice"))
	for i, text := range hostile {
		other := hostile[len(hostile)-1-i]
		got, err := s.SetProfile(t.Context(), a.ID, &text, &other)
		must(t, err)
		a.DisplayName, a.AvatarURL = text, other
		wantSame(t, "as changed", got, a)
		wantAccount(t, s, a)
	}
}

// accountLostUpdate catches a store that writes back whole records.
func accountLostUpdate(t *testing.T, s authcore.AccountStore) {
	a := create(t, s, newAccount("alice"))
	for r := range rounds {
		next := authcore.PasswordHash(fmt.Sprintf("hash of round %d", r))
		name, avatar := fmt.Sprintf("name of round %d", r), fmt.Sprintf("https://example.com/%d.png", r)
		parallel(4, func(i int) {
			var err error
			done := true
			switch i {
			case 0:
				done, err = s.SwapPasswordHash(t.Context(), a.ID, a.PasswordHash, next)
			case 1:
				err = s.SetDisabled(t.Context(), a.ID, r%2 == 0)
			case 2:
				_, err = s.SetProfile(t.Context(), a.ID, &name, nil)
			case 3:
				_, err = s.SetProfile(t.Context(), a.ID, nil, &avatar)
			}
			if err != nil || !done {
				t.Errorf("%d: %v, %v", i, done, err)
			}
		})
		a.PasswordHash, a.Disabled, a.DisplayName, a.AvatarURL = next, r%2 == 0, name, avatar
		wantAccount(t, s, a)
	}
}

func accountTimes(t *testing.T, s authcore.AccountStore) {
	for i, at := range times {
		a := newAccount(fmt.Sprintf("user%d", i))
		a.CreatedAt = at
		got := create(t, s, a)
		wantUTC(t, "as created", got.CreatedAt)
		a.Number, a.CreatedAt = got.Number, kept(at)
		wantSame(t, "as created", got, a)
		wantAccount(t, s, a)
	}
}

func accountHostile(t *testing.T, s authcore.AccountStore) {
	var accounts []authcore.Account
	skeletons := make(map[string]bool)
	for i, text := range hostile {
		a := newAccount(text)
		a.DisplayName, a.AvatarURL, a.Email, a.PasswordHash = text, "https://example.com/"+text, text, authcore.PasswordHash(text)
		if len(text) > 1000 { // an index need not take it, and no username has it
			a.Username = authcore.Username(fmt.Sprintf("long%d", i))
		}
		if i < len(binary) {
			a.EmailHash = binary[i]
		}
		if sk := a.Username.Skeleton(); !skeletons[sk] {
			skeletons[sk] = true
			a.Number = create(t, s, a).Number
			accounts = append(accounts, a)
		}
	}
	if len(accounts) < len(hostile)-3 {
		t.Fatalf("only %d of %d names do not look alike", len(accounts), len(hostile))
	}
	for i, a := range accounts {
		wantAccount(t, s, a)
		next := authcore.PasswordHash(hostile[(i+1)%len(hostile)])
		done, err := s.SwapPasswordHash(t.Context(), a.ID, a.PasswordHash, next)
		must(t, err)
		want(t, "swap", done, true)
		accounts[i].PasswordHash = next
	}
	for _, a := range accounts {
		wantAccount(t, s, a)
	}
}

func accountCanceled(t *testing.T, s authcore.AccountStore) {
	a := create(t, s, newAccount("alice"))
	ctx := canceled()
	b := newAccount("bob")
	_, err := s.CreateAccount(ctx, b, authcore.Creation{})
	wantCanceled(t, "CreateAccount", err)
	wantNoAccount(t, s, b)
	_, err = s.AccountByID(ctx, a.ID)
	wantCanceled(t, "AccountByID", err)
	_, err = s.AccountByUsername(ctx, a.Username)
	wantCanceled(t, "AccountByUsername", err)
	_, err = s.AccountByEmailHash(ctx, a.EmailHash)
	wantCanceled(t, "AccountByEmailHash", err)
	done, err := s.SwapPasswordHash(ctx, a.ID, a.PasswordHash, "other")
	wantCanceled(t, "SwapPasswordHash", err)
	want(t, "SwapPasswordHash", done, false)
	wantCanceled(t, "SetDisabled", s.SetDisabled(ctx, a.ID, true))
	name := "other"
	got, err := s.SetProfile(ctx, a.ID, &name, nil)
	wantCanceled(t, "SetProfile", err)
	wantSame(t, "SetProfile", got, authcore.Account{})
	wantAccount(t, s, a)
	create(t, s, b)
}

// accountCanceledHalfway cancels calls at random moments. Each must have done everything or nothing, and the store must
// go on working.
func accountCanceledHalfway(t *testing.T, s authcore.AccountStore) {
	start := time.Now()
	create(t, s, newAccount("first"))
	usual := max(time.Since(start), time.Millisecond)
	var cut, done atomic.Int32
	for r := range rounds {
		parallel(4, func(i int) {
			a := newAccount(fmt.Sprintf("u%dx%d", r, i))
			ctx, cancel := context.WithTimeout(t.Context(), rand.N(4*usual))
			_, err := s.CreateAccount(ctx, a, authcore.Creation{})
			cancel()
			switch {
			case err == nil:
				done.Add(1)
			case errors.Is(err, context.DeadlineExceeded):
				cut.Add(1)
			default:
				t.Errorf("cut off: %v", err)
			}
			if _, errID := s.AccountByID(t.Context(), a.ID); err == nil && errID != nil {
				t.Errorf("an account that was acknowledged is not there: %v", errID)
			}
			// What was cut off while it was being committed may still come.
			for deadline := time.Now().Add(20 * time.Second); ; {
				byID, errID := s.AccountByID(t.Context(), a.ID)
				byName, errName := s.AccountByUsername(t.Context(), a.Username)
				byHash, errHash := s.AccountByEmailHash(t.Context(), a.EmailHash)
				if errID == nil && errName == nil && errHash == nil && byID.ID == byName.ID && byID.ID == byHash.ID {
					break
				}
				if errID != nil && errName != nil && errHash != nil {
					if _, err := s.CreateAccount(t.Context(), a, authcore.Creation{}); err == nil {
						break
					}
				}
				if time.Now().After(deadline) {
					t.Errorf("half an account: by ID %v, by name %v, by hash %v", errID, errName, errHash)
					break
				}
			}
		})
	}
	t.Logf("%d calls were cut off, %d were not", cut.Load(), done.Load())
}
