package storetest

import (
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

var networkTests = []group[authcore.NetworkStore]{
	{"known", networkKnown},
	{"at once", networkRace},
	{"deleting", networkDeleting},
	{"hostile strings", networkHostile},
	{"cancellation", networkCanceled},
}

func wantNetwork(t *testing.T, s authcore.NetworkStore, what string, a authcore.AccountID, network []byte, known bool) {
	t.Helper()
	got, err := s.KnowsNetwork(t.Context(), a, network)
	must(t, err)
	want(t, what+": known", got, known)
}

func networkKnown(t *testing.T, s authcore.NetworkStore) {
	alice, bob, home := authcore.AccountID(newID()), authcore.AccountID(newID()), newHash()
	wantNetwork(t, s, "at first", alice, home, false)
	for range 2 {
		must(t, s.NoteNetwork(t.Context(), alice, home, now()))
		wantNetwork(t, s, "noted", alice, home, true)
	}
	wantNetwork(t, s, "another account's", bob, home, false)
	wantNetwork(t, s, "nobody's", "", home, false)
	for _, network := range [][]byte{newHash(), home[:31], append(home[:32:32], 0), []byte("%"), {}} {
		wantNetwork(t, s, "another network", alice, network, false)
	}
}

func networkRace(t *testing.T, s authcore.NetworkStore) {
	a := authcore.AccountID(newID())
	for range fewRounds {
		network := newHash()
		parallel(racers, func(int) {
			if err := s.NoteNetwork(t.Context(), a, network, now()); err != nil {
				t.Error(err)
			}
		})
		wantNetwork(t, s, "afterwards", a, network, true)
	}
}

func networkDeleting(t *testing.T, s authcore.NetworkStore) {
	must(t, s.DeleteNetworks(t.Context(), now())) // of none
	at := now()
	for _, c := range []struct {
		what  string
		noted []time.Duration // from at
		gone  bool
	}{
		{"before", []time.Duration{-time.Millisecond}, true},
		{"then", []time.Duration{0}, false},
		{"after", []time.Duration{time.Millisecond}, false},
		{"before, and then", []time.Duration{-time.Hour, 0}, false},
		{"then, and before", []time.Duration{0, -time.Hour}, false}, // a clock that is behind takes nothing back
	} {
		a, network := authcore.AccountID(newID()), newHash()
		for _, noted := range c.noted {
			must(t, s.NoteNetwork(t.Context(), a, network, at.Add(noted)))
		}
		for range 2 {
			must(t, s.DeleteNetworks(t.Context(), at))
		}
		wantNetwork(t, s, c.what, a, network, !c.gone)
	}
}

func networkHostile(t *testing.T, s authcore.NetworkStore) {
	for _, network := range binary {
		a := authcore.AccountID(newID())
		must(t, s.NoteNetwork(t.Context(), a, network, now()))
		wantNetwork(t, s, string(network), a, network, true)
	}
}

func networkCanceled(t *testing.T, s authcore.NetworkStore) {
	a, network, ctx := authcore.AccountID(newID()), newHash(), canceled()
	wantCanceled(t, "NoteNetwork", s.NoteNetwork(ctx, a, network, now()))
	wantNetwork(t, s, "afterwards", a, network, false)
	must(t, s.NoteNetwork(t.Context(), a, network, now()))
	_, err := s.KnowsNetwork(ctx, a, network)
	wantCanceled(t, "KnowsNetwork", err)
	wantCanceled(t, "DeleteNetworks", s.DeleteNetworks(ctx, now().Add(time.Hour)))
	wantNetwork(t, s, "afterwards", a, network, true)
}
