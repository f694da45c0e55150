package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

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
