package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// revocations are a store with the accounts that are in the same database.
type revocations struct {
	authcore.RevocationStore
	accounts authcore.AccountStore
}

var revocationTests = []group[revocations]{
	{"lookups", revocationLookups},
	{"one moment", revocationMoment},
	{"epochs", revocationEpochs},
	{"epochs/at once", revocationEpochRace},
	{"epochs/no lost update", revocationLostUpdate},
	{"kept", revocationKept},
	{"kept/two devices at once", revocationKeptRace},
	{"kept/one device at once", revocationKeptTwice},
	{"kept/while it is revoked", revocationKeptRevoking},
	{"revoking", revocationRevoking},
	{"revoking/at once", revocationRevokingRace},
	{"deleting", revocationDeleting},
	{"deleting/while others revoke", revocationDeletingRace},
	{"unknown account", revocationUnknown},
	{"times", revocationTimes},
	{"hostile strings", revocationHostile},
	{"cancellation", revocationCanceled},
}

// revoke revokes a session until the far future.
func revoke(t *testing.T, s revocations, n authcore.Session) {
	t.Helper()
	must(t, s.RevokeSession(t.Context(), n.Account, n.ID, now().Add(time.Hour)))
}

// wantRevoked checks whether a session is revoked, and the account that comes with the answer.
func wantRevoked(t *testing.T, s revocations, what string, n authcore.Session, revoked bool) {
	t.Helper()
	a, got, err := s.SessionAccount(t.Context(), n.Account, n.ID)
	must(t, err)
	want(t, what+": revoked", got, revoked)
	wantAccount(t, s.accounts, a)
}

// begun returns a session of an account from an epoch.
func begun(a authcore.Account, epoch int64) authcore.Session {
	n := newSession(a.ID)
	n.Epoch = epoch
	return n
}

func revocationLookups(t *testing.T, s revocations) {
	alice, bob := create(t, s.accounts, newAccount("alice")), create(t, s.accounts, newAccount("bob"))
	bare := authcore.Account{ID: authcore.AccountID(newID()), Username: "carol", PasswordHash: "x", CreatedAt: now()}
	bare = create(t, s.accounts, bare)
	n, other := newSession(alice.ID), newSession(alice.ID)
	look := func(what string, a authcore.Account, id authcore.SessionID, revoked bool) {
		t.Helper()
		got, r, err := s.SessionAccount(t.Context(), a.ID, id)
		must(t, err)
		wantSame(t, what, got, a)
		want(t, what+": revoked", r, revoked)
	}
	look("before", alice, n.ID, false)
	look("bare", bare, n.ID, false)
	revoke(t, s, n)
	look("revoked", alice, n.ID, true)
	look("another session", alice, other.ID, false)
	look("another account", bob, n.ID, false)
	for _, id := range []authcore.SessionID{"", "%", "*", n.ID[:len(n.ID)-1], n.ID + " ", n.ID + "x", authcore.SessionID(alice.ID)} {
		look("not quite it", alice, id, false)
	}
	for _, disabled := range []bool{true, false} {
		must(t, s.accounts.SetDisabled(t.Context(), alice.ID, disabled))
		alice.Disabled = disabled
		look("revoked, after disabling", alice, n.ID, true)
		look("another session, after disabling", alice, other.ID, false)
	}
	done, err := s.accounts.SwapPasswordHash(t.Context(), alice.ID, alice.PasswordHash, "second")
	if err != nil || !done {
		t.Fatal(done, err)
	}
	alice.PasswordHash = "second"
	look("after a new password", alice, n.ID, true)
}

// revocationMoment catches an answer that comes from two reads: one session is revoked before the epoch begins, another
// after it.
func revocationMoment(t *testing.T, s revocations) {
	a := create(t, s.accounts, newAccount("alice"))
	const epochs = 2 * rounds
	before, after := make([]authcore.Session, epochs), make([]authcore.Session, epochs)
	for i := range epochs {
		before[i], after[i] = newSession(a.ID), newSession(a.ID)
	}
	var at atomic.Int64
	parallel(5, func(i int) {
		if i == 0 {
			defer at.Store(epochs)
			for k := range epochs {
				at.Store(int64(k))
				err := s.RevokeSession(t.Context(), a.ID, before[k].ID, now().Add(time.Hour))
				if err == nil {
					_, _, err = s.RevokeSessions(t.Context(), a.ID, authcore.Session{})
				}
				if err == nil {
					err = s.RevokeSession(t.Context(), a.ID, after[k].ID, now().Add(time.Hour))
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
			return
		}
		for k := at.Load(); k < epochs; k = at.Load() {
			n := before[k]
			if i%2 == 0 {
				n = after[k]
			}
			got, revoked, err := s.SessionAccount(t.Context(), a.ID, n.ID)
			if err != nil {
				t.Error(err)
				return
			}
			if i%2 == 1 && got.Epoch > k && !revoked {
				t.Error("a session that was revoked before the epoch began is not revoked in it")
			}
			if i%2 == 0 && got.Epoch <= k && revoked {
				t.Error("a session that was revoked after the epoch began is revoked before it")
			}
		}
	})
}

func revocationEpochs(t *testing.T, s revocations) {
	a, other := create(t, s.accounts, newAccount("alice")), create(t, s.accounts, newAccount("bob"))
	want(t, "the first epoch", a.Epoch, 0)
	for epoch := range int64(5) {
		got, lives, err := s.RevokeSessions(t.Context(), a.ID, authcore.Session{})
		must(t, err)
		want(t, "epoch", got, epoch+1)
		want(t, "lives", lives, "")
		a.Epoch = epoch + 1
		wantAccount(t, s.accounts, a)
		wantAccount(t, s.accounts, other)
	}
	must(t, s.accounts.SetDisabled(t.Context(), a.ID, true)) // those of a closed account can be ended, too
	a.Disabled = true
	got, _, err := s.RevokeSessions(t.Context(), a.ID, authcore.Session{})
	must(t, err)
	want(t, "epoch", got, 6)
	a.Epoch = 6
	wantAccount(t, s.accounts, a)
}

func revocationEpochRace(t *testing.T, s revocations) {
	a := create(t, s.accounts, newAccount("alice"))
	for range rounds {
		epochs := make([]int64, racers)
		parallel(racers, func(i int) {
			var err error
			if epochs[i], _, err = s.RevokeSessions(t.Context(), a.ID, begun(a, a.Epoch)); err != nil {
				t.Error(err)
			}
		})
		slices.Sort(epochs)
		for i, epoch := range epochs {
			want(t, "epochs in order", epoch, a.Epoch+int64(i)+1)
		}
		a.Epoch += racers
		if got, err := s.accounts.AccountByID(t.Context(), a.ID); err != nil || got.Epoch != a.Epoch {
			t.Fatalf("%d callers at once made epoch %d of %d, %v", racers, got.Epoch, a.Epoch-racers, err)
		}
	}
}

// revocationLostUpdate catches a store that writes back whole records.
func revocationLostUpdate(t *testing.T, s revocations) {
	a := create(t, s.accounts, newAccount("alice"))
	for r := range rounds {
		next := authcore.PasswordHash(fmt.Sprintf("hash of round %d", r))
		n := begun(a, a.Epoch)
		parallel(3, func(i int) {
			var err error
			done := true
			switch i {
			case 0:
				_, _, err = s.RevokeSessions(t.Context(), a.ID, n)
			case 1:
				done, err = s.accounts.SwapPasswordHash(t.Context(), a.ID, a.PasswordHash, next)
			case 2:
				err = s.accounts.SetDisabled(t.Context(), a.ID, r%2 == 0)
			}
			if err != nil || !done {
				t.Errorf("%d: %v, %v", i, done, err)
			}
		})
		a.Epoch, a.Kept, a.PasswordHash, a.Disabled = a.Epoch+1, n.ID, next, r%2 == 0
		wantAccount(t, s.accounts, a)
	}
}

func revocationKept(t *testing.T, s revocations) {
	a, other := create(t, s.accounts, newAccount("alice")), create(t, s.accounts, newAccount("bob"))
	first, second, third := begun(a, 0), begun(a, 0), begun(a, 2)
	revoked, again, future := begun(a, 5), begun(a, 6), begun(a, 1000)
	step := func(what string, n authcore.Session, lives bool) {
		t.Helper()
		a.Epoch++
		if a.Kept = ""; lives {
			a.Kept = n.ID
		}
		epoch, kept, err := s.RevokeSessions(t.Context(), a.ID, n)
		must(t, err)
		want(t, what+": epoch", epoch, a.Epoch)
		want(t, what+": lives", kept, a.Kept)
		wantAccount(t, s.accounts, a)
		wantAccount(t, s.accounts, other)
	}
	step("of the epoch", first, true)                 // to 1
	step("kept before", first, true)                  // to 2
	step("of an epoch that is over", second, false)   // to 3
	step("kept, but not the last time", first, false) // to 4
	step("of an epoch between", third, false)         // to 5
	revoke(t, s, revoked)
	step("of the epoch, but revoked", revoked, false) // to 6
	step("of the epoch again", again, true)           // to 7
	revoke(t, s, again)
	step("kept before, but revoked since", again, false) // to 8
	step("of an epoch that has not begun", future, false)
	step("of an epoch before the first", begun(a, -1), false)
	step("nobody", authcore.Session{}, false)
	n := begun(a, a.Epoch)
	must(t, s.RevokeSession(t.Context(), other.ID, n.ID, now().Add(time.Hour))) // that is another one
	step("of the epoch, with the ID of another account's", n, true)
	step("nobody, while one is kept", authcore.Session{Epoch: a.Epoch}, false)
	step("of the epoch after that", begun(a, a.Epoch), true)
}

// revocationKeptRace lets two devices end all others at the same moment; the first ends the second.
func revocationKeptRace(t *testing.T, s revocations) {
	a := create(t, s.accounts, newAccount("alice"))
	for range rounds {
		devices := []authcore.Session{begun(a, a.Epoch), begun(a, a.Epoch)}
		epochs, lives := make([]int64, 2), make([]authcore.SessionID, 2)
		parallel(2, func(i int) {
			var err error
			if epochs[i], lives[i], err = s.RevokeSessions(t.Context(), a.ID, devices[i]); err != nil {
				t.Error(err)
			}
		})
		for i, n := range devices {
			switch epochs[i] {
			case a.Epoch + 1:
				want(t, "the first device", lives[i], n.ID)
			case a.Epoch + 2:
				want(t, "the second device", lives[i], "")
			default:
				t.Fatalf("epoch %d after %d", epochs[i], a.Epoch)
			}
		}
		want(t, "both made one epoch", epochs[0] != epochs[1], true)
		alive := 0
		for _, n := range devices {
			got, revoked, err := s.SessionAccount(t.Context(), a.ID, n.ID)
			must(t, err)
			if !revoked && (n.Epoch == got.Epoch || n.ID == got.Kept) {
				alive++
			}
		}
		if alive > 1 {
			t.Fatal("two devices ended each other, and both live")
		}
		a.Epoch += 2
		wantAccount(t, s.accounts, a)
	}
}

// revocationKeptTwice lets one device end all others several times at the same moment; it lives on.
func revocationKeptTwice(t *testing.T, s revocations) {
	a := create(t, s.accounts, newAccount("alice"))
	for range rounds {
		n := begun(a, a.Epoch)
		parallel(4, func(int) {
			if _, lives, err := s.RevokeSessions(t.Context(), a.ID, n); err != nil || lives != n.ID {
				t.Errorf("%q lives, %v", lives, err)
			}
		})
		a.Epoch, a.Kept = a.Epoch+4, n.ID
		wantAccount(t, s.accounts, a)
	}
}

// revocationKeptRevoking revokes a session while it ends all others; it is over, whichever came first.
func revocationKeptRevoking(t *testing.T, s revocations) {
	a := create(t, s.accounts, newAccount("alice"))
	for range rounds {
		n := begun(a, a.Epoch)
		parallel(2, func(i int) {
			var err error
			if i == 0 {
				_, _, err = s.RevokeSessions(t.Context(), a.ID, n)
			} else {
				err = s.RevokeSession(t.Context(), a.ID, n.ID, now().Add(time.Hour))
			}
			if err != nil {
				t.Error(err)
			}
		})
		wantRevoked(t, s, "afterwards", n, true)
		_, lives, err := s.RevokeSessions(t.Context(), a.ID, n)
		must(t, err)
		want(t, "lives", lives, "")
		a.Epoch += 2
		wantAccount(t, s.accounts, a)
	}
}

func revocationRevoking(t *testing.T, s revocations) {
	a := create(t, s.accounts, newAccount("alice"))
	n, base := newSession(a.ID), now()
	until := base
	for _, minutes := range []int{10, 10, 5, 20, -60, 15, 30, 0} {
		forget := base.Add(time.Duration(minutes) * time.Minute)
		must(t, s.RevokeSession(t.Context(), a.ID, n.ID, forget))
		if forget.After(until) {
			until = forget
		}
		wantRevoked(t, s, "revoked", n, true)
		must(t, s.DeleteRevocations(t.Context(), until))
		wantRevoked(t, s, "to be kept for longer", n, true)
	}
	wantAccount(t, s.accounts, a) // none of this is an epoch
	must(t, s.DeleteRevocations(t.Context(), until.Add(time.Millisecond)))
	wantRevoked(t, s, "forgotten", n, false)
	revoke(t, s, n)
	wantRevoked(t, s, "revoked once more", n, true)
}

func revocationRevokingRace(t *testing.T, s revocations) {
	a := create(t, s.accounts, newAccount("alice"))
	base := now()
	for range rounds {
		n := newSession(a.ID)
		latest := base
		forget := make([]time.Time, racers)
		for i := range forget {
			forget[i] = base.Add(time.Duration(rand.IntN(100000)+1) * time.Millisecond)
			if forget[i].After(latest) {
				latest = forget[i]
			}
		}
		parallel(racers, func(i int) {
			if err := s.RevokeSession(t.Context(), a.ID, n.ID, forget[i]); err != nil {
				t.Error(err)
			}
		})
		must(t, s.DeleteRevocations(t.Context(), latest))
		wantRevoked(t, s, "as long as the longest", n, true)
		must(t, s.DeleteRevocations(t.Context(), latest.Add(time.Millisecond)))
		wantRevoked(t, s, "longer than the longest", n, false)
	}
}

func revocationDeleting(t *testing.T, s revocations) {
	alice, bob := create(t, s.accounts, newAccount("alice")), create(t, s.accounts, newAccount("bob"))
	must(t, s.DeleteRevocations(t.Context(), now())) // of none
	at := now().Add(time.Hour)
	cases := []struct {
		name   string
		forget time.Duration // from at
		gone   bool
	}{
		{"long before", -24 * time.Hour, true},
		{"before", -time.Millisecond, true},
		{"now", 0, false},
		{"after", time.Millisecond, false},
		{"long after", 24 * time.Hour, false},
	}
	var sessions []authcore.Session
	for _, c := range cases {
		for _, a := range []authcore.Account{alice, bob} {
			n := newSession(a.ID)
			must(t, s.RevokeSession(t.Context(), n.Account, n.ID, at.Add(c.forget)))
			sessions = append(sessions, n)
		}
	}
	for range 2 {
		must(t, s.DeleteRevocations(t.Context(), at))
		for i, n := range sessions {
			wantRevoked(t, s, cases[i/2].name, n, !cases[i/2].gone)
		}
	}
	wantAccount(t, s.accounts, alice)
	wantAccount(t, s.accounts, bob)
}

// revocationDeletingRace catches a deletion of a record that is renewed at the same moment.
func revocationDeletingRace(t *testing.T, s revocations) {
	a := create(t, s.accounts, newAccount("alice"))
	at := now().Add(time.Hour)
	for range rounds {
		n, fresh := newSession(a.ID), newSession(a.ID)
		must(t, s.RevokeSession(t.Context(), a.ID, n.ID, at.Add(-time.Minute)))
		parallel(4, func(i int) {
			var err error
			switch i {
			case 0:
				err = s.RevokeSession(t.Context(), a.ID, n.ID, at.Add(time.Minute))
			case 1:
				err = s.RevokeSession(t.Context(), a.ID, fresh.ID, at)
			default:
				err = s.DeleteRevocations(t.Context(), at)
			}
			if err != nil {
				t.Error(err)
			}
		})
		wantRevoked(t, s, "recorded anew", n, true)
		wantRevoked(t, s, "recorded", fresh, true)
	}
}

func revocationUnknown(t *testing.T, s revocations) {
	a := create(t, s.accounts, newAccount("alice"))
	n := newSession(a.ID)
	for _, id := range []authcore.AccountID{newAccountID(), "", "alice", "%", "' OR '1'='1"} {
		epoch, lives, err := s.RevokeSessions(t.Context(), id, n)
		wantKind(t, "RevokeSessions", err, authcore.KindUnknownAccount)
		want(t, "epoch", epoch, 0)
		want(t, "lives", lives, "")
		// A session store may hold what the accounts' database never had. Ending it is no error.
		must(t, s.RevokeSession(t.Context(), id, n.ID, now().Add(time.Hour)))
		got, revoked, err := s.SessionAccount(t.Context(), id, n.ID)
		wantKind(t, "SessionAccount", err, authcore.KindUnknownAccount)
		wantSame(t, "what comes with the error", got, authcore.Account{})
		want(t, "revoked", revoked, false)
	}
	wantAccount(t, s.accounts, a)
	wantRevoked(t, s, "the session", n, false)
}

func revocationTimes(t *testing.T, s revocations) {
	a := create(t, s.accounts, newAccount("alice"))
	for _, forget := range times {
		n := newSession(a.ID)
		must(t, s.RevokeSession(t.Context(), a.ID, n.ID, forget))
		for _, at := range []time.Time{forget, kept(forget), forget.In(time.FixedZone("far", 14*3600))} {
			must(t, s.DeleteRevocations(t.Context(), at))
			wantRevoked(t, s, fmt.Sprintf("to be kept until %v", forget), n, true)
		}
		must(t, s.DeleteRevocations(t.Context(), forget.Add(time.Millisecond)))
		wantRevoked(t, s, fmt.Sprintf("to be kept until %v", forget), n, false)
	}
}

func revocationHostile(t *testing.T, s revocations) {
	a := create(t, s.accounts, newAccount("alice"))
	var sessions []authcore.Session
	for _, text := range hostile {
		if len(text) > 1000 { // an index need not take it, and no ID is as long
			continue
		}
		n := begun(a, a.Epoch)
		n.ID = authcore.SessionID(text)
		wantRevoked(t, s, text, n, false)
		epoch, lives, err := s.RevokeSessions(t.Context(), a.ID, n)
		must(t, err)
		want(t, "epoch", epoch, a.Epoch+1)
		want(t, "lives", lives, n.ID)
		a.Epoch, a.Kept = epoch, n.ID
		wantAccount(t, s.accounts, a)
		sessions = append(sessions, n)
	}
	for i, n := range sessions {
		for k, other := range sessions {
			if k%7 == i%7 { // some of them will do
				wantRevoked(t, s, string(other.ID), other, k < i)
			}
		}
		revoke(t, s, n)
		must(t, s.RevokeSession(t.Context(), authcore.AccountID(n.ID), n.ID, now().Add(time.Hour)))
		wantRevoked(t, s, string(n.ID), n, true)
	}
}

func revocationCanceled(t *testing.T, s revocations) {
	a := create(t, s.accounts, newAccount("alice"))
	n, gone := begun(a, 0), begun(a, 0)
	revoke(t, s, gone)
	ctx := canceled()
	wantCanceled(t, "RevokeSession", s.RevokeSession(ctx, a.ID, n.ID, now().Add(time.Hour)))
	wantRevoked(t, s, "a revocation that was canceled", n, false)
	epoch, lives, err := s.RevokeSessions(ctx, a.ID, n)
	wantCanceled(t, "RevokeSessions", err)
	want(t, "epoch", epoch, 0)
	want(t, "lives", lives, "")
	wantAccount(t, s.accounts, a)
	got, revoked, err := s.SessionAccount(ctx, a.ID, gone.ID)
	wantCanceled(t, "SessionAccount", err)
	wantSame(t, "what comes with the error", got, authcore.Account{})
	want(t, "revoked", revoked, false)
	wantCanceled(t, "DeleteRevocations", s.DeleteRevocations(ctx, now().Add(24*time.Hour)))
	wantRevoked(t, s, "after a deletion that was canceled", gone, true)
}
