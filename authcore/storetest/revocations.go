package storetest

import (
	"fmt"
	"math/rand/v2"
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
