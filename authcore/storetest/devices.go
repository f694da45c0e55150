package storetest

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// devices are a store with the accounts that are in the same database.
type devices struct {
	authcore.DeviceStore
	accounts authcore.AccountStore
}

var deviceTests = []group[devices]{
	{"known", deviceKnown},
	{"at once", deviceRace},
	{"at once/several", deviceFirstRace},
	{"deleting", deviceDeleting},
	{"deleting/while it is noted", deviceDeletingRace},
	{"times", deviceTimes},
	{"hostile strings", deviceHostile},
	{"cancellation", deviceCanceled},
}

func wantNoted(t *testing.T, s devices, what string, a authcore.AccountID, device []byte, at time.Time, known, others bool) {
	t.Helper()
	k, o, err := s.NoteDevice(t.Context(), a, device, at)
	must(t, err)
	want(t, what+": known", k, known)
	want(t, what+": others", o, others)
}

func deviceKnown(t *testing.T, s devices) {
	alice, bob := create(t, s.accounts, newAccount("alice")), create(t, s.accounts, newAccount("bob"))
	phone, laptop := newHash(), newHash()
	wantNoted(t, s, "the first", alice.ID, phone, now(), false, false)
	wantNoted(t, s, "the first again", alice.ID, phone, now(), true, false)
	wantNoted(t, s, "the second", alice.ID, laptop, now(), false, true)
	for range 2 {
		wantNoted(t, s, "the second again", alice.ID, laptop, now(), true, true)
		wantNoted(t, s, "the first again", alice.ID, phone, now(), true, true)
	}
	wantNoted(t, s, "another account's first", bob.ID, phone, now(), false, false)
	for k, device := range [][]byte{phone[:31], append(phone[:32:32], 0), []byte("%"), []byte(alice.ID)} {
		wantNoted(t, s, fmt.Sprintf("not quite it, %d", k), alice.ID, device, now(), false, true)
	}
	wantNoted(t, s, "another account's first", bob.ID, phone, now(), true, false)
	wantAccount(t, s.accounts, alice)
}

func deviceRace(t *testing.T, s devices) {
	a := create(t, s.accounts, newAccount("alice"))
	for r := range fewRounds {
		device := newHash()
		var fresh atomic.Int32
		parallel(racers, func(int) {
			known, others, err := s.NoteDevice(t.Context(), a.ID, device, now())
			if err != nil {
				t.Error(err)
			}
			if !known {
				fresh.Add(1)
			}
			want(t, "others", others, r > 0)
		})
		want(t, "callers who were told that it is new", fresh.Load(), 1)
		wantNoted(t, s, "afterwards", a.ID, device, now(), true, r > 0)
	}
}

// deviceFirstRace notes many new devices of an account at once; exactly one of them is its first.
func deviceFirstRace(t *testing.T, s devices) {
	for r := range fewRounds {
		a := create(t, s.accounts, newAccount(fmt.Sprintf("user%d", r)))
		var first atomic.Int32
		parallel(racers, func(int) {
			known, others, err := s.NoteDevice(t.Context(), a.ID, newHash(), now())
			if err != nil || known {
				t.Errorf("known %v, %v", known, err)
			}
			if !others {
				first.Add(1)
			}
		})
		want(t, "callers who were told that there is no other", first.Load(), 1)
	}
}

func deviceDeleting(t *testing.T, s devices) {
	must(t, s.DeleteDevices(t.Context(), now())) // of none
	at := now()
	for k, c := range []struct {
		what  string
		noted []time.Duration // from at
		gone  bool
	}{
		{"long before", []time.Duration{-24 * time.Hour}, true},
		{"before", []time.Duration{-time.Millisecond}, true},
		{"then", []time.Duration{0}, false},
		{"after", []time.Duration{time.Millisecond}, false},
		{"before, and then", []time.Duration{-time.Hour, 0}, false},
		{"then, and before", []time.Duration{0, -time.Hour}, false}, // a clock that is behind takes nothing back
		{"twice before", []time.Duration{-time.Hour, -time.Millisecond}, true},
	} {
		a := create(t, s.accounts, newAccount(fmt.Sprintf("user%d", k)))
		device := newHash()
		for i, noted := range c.noted {
			wantNoted(t, s, c.what, a.ID, device, at.Add(noted), i > 0, false)
		}
		for range 2 {
			must(t, s.DeleteDevices(t.Context(), at))
		}
		wantNoted(t, s, c.what+", from another", a.ID, newHash(), at.Add(-time.Hour), false, !c.gone)
		must(t, s.DeleteDevices(t.Context(), at))
		wantNoted(t, s, c.what, a.ID, device, at, !c.gone, false)
	}
}

// deviceDeletingRace catches a deletion of a device that is noted again at the same moment.
func deviceDeletingRace(t *testing.T, s devices) {
	a := create(t, s.accounts, newAccount("alice"))
	at := now()
	for range fewRounds {
		device := newHash()
		wantKnown := func(what string, at time.Time, known bool) {
			t.Helper()
			got, _, err := s.NoteDevice(t.Context(), a.ID, device, at)
			must(t, err)
			want(t, what, got, known)
		}
		wantKnown("at first", at.Add(-time.Hour), false)
		parallel(3, func(i int) {
			var err error
			if i == 0 {
				_, _, err = s.NoteDevice(t.Context(), a.ID, device, at)
			} else {
				err = s.DeleteDevices(t.Context(), at)
			}
			if err != nil {
				t.Error(err)
			}
		})
		wantKnown("noted while the old ones were deleted", at, true)
	}
}

func deviceTimes(t *testing.T, s devices) {
	a := create(t, s.accounts, newAccount("alice"))
	for _, at := range times {
		device := newHash()
		wantNoted(t, s, "new", a.ID, device, at, false, false)
		must(t, s.DeleteDevices(t.Context(), at.In(time.FixedZone("far", 14*3600))))
		must(t, s.DeleteDevices(t.Context(), kept(at)))
		wantNoted(t, s, fmt.Sprintf("at %v", at), a.ID, device, at, true, false)
		must(t, s.DeleteDevices(t.Context(), at.Add(time.Millisecond)))
	}
}

func deviceHostile(t *testing.T, s devices) {
	a := create(t, s.accounts, newAccount("alice"))
	all := binary
	for _, text := range hostile {
		if len(text) < 1000 { // an index need not take it, and no hash is as long
			all = append(all[:len(all):len(all)], []byte(text))
		}
	}
	seen := make(map[string]bool)
	for _, device := range all {
		known := seen[string(device)]
		seen[string(device)] = true
		wantNoted(t, s, string(device), a.ID, device, now(), known, len(seen) > 1)
	}
	for _, device := range all {
		wantNoted(t, s, string(device), a.ID, device, now(), true, true)
	}
}

func deviceCanceled(t *testing.T, s devices) {
	a := create(t, s.accounts, newAccount("alice"))
	device := newHash()
	ctx := canceled()
	known, others, err := s.NoteDevice(ctx, a.ID, device, now())
	wantCanceled(t, "NoteDevice", err)
	want(t, "NoteDevice", [2]bool{known, others}, [2]bool{})
	wantNoted(t, s, "afterwards", a.ID, device, now(), false, false)
	wantCanceled(t, "DeleteDevices", s.DeleteDevices(ctx, now().Add(time.Hour)))
	wantNoted(t, s, "afterwards", a.ID, device, now(), true, false)
}
