package storetest

import (
	"crypto/rand"
	"fmt"
	mrand "math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// aRotation is one at a time, and by a client, that are like no others.
func aRotation() authcore.Rotation {
	at := now().Add(mrand.N(1000 * time.Hour)).Truncate(time.Millisecond)
	return authcore.Rotation{At: at, By: authcore.ClientMark(rand.Text()[:20] + "-_")}
}

func rotate(t *testing.T, s authcore.SessionStore, n authcore.Session, generation int64, r authcore.Rotation) authcore.Session {
	t.Helper()
	got, err := s.RotateSession(t.Context(), n.Account, n.ID, generation, r)
	must(t, err)
	return got
}

// rotated returns what a session is after a rotation.
func rotated(n authcore.Session, given int64, r authcore.Rotation) authcore.Session {
	if given < n.Generation-1 {
		return n
	}
	if given > n.Generation {
		n.Rotations = ""
	}
	if given >= n.Generation {
		n.Generation, n.Rotations = given+1, n.Rotations.Add(r.At)
	}
	n.RefreshedBy = r.By
	return n
}

// wantRotation rotates a session and expects what becomes of it, and that it is stored; it returns that.
func wantRotation(t *testing.T, s authcore.SessionStore, what string, n authcore.Session, given int64) authcore.Session {
	t.Helper()
	r := aRotation()
	n = rotated(n, given, r)
	want(t, what, rotate(t, s, n, given, r), n)
	wantSession(t, s, n)
	return n
}

func wantNoRotation(t *testing.T, s authcore.SessionStore, what string, account authcore.AccountID, id authcore.SessionID) {
	t.Helper()
	got, err := s.RotateSession(t.Context(), account, id, 1, aRotation())
	wantKind(t, what, err, authcore.KindSessionOver)
	want(t, what+": what comes with the error", got, authcore.Session{})
}

// rotation rotates one session with every kind of older, current and newer generation, beside others that must not change.
func rotation(t *testing.T, s authcore.SessionStore) {
	alice, bob := newAccountID(), newAccountID()
	n := newSession(alice)
	beside, others := newSession(alice), newSession(bob)
	beside.CreatedAt = n.CreatedAt.Add(-time.Second)
	others.ID = n.ID
	for _, one := range []authcore.Session{n, beside, others} {
		start(t, s, one)
	}
	for _, c := range []struct {
		what        string
		given, want int64
	}{
		{"current", 1, 2},
		{"predecessor", 1, 2},
		{"predecessor again", 1, 2},
		{"current again", 2, 3},
		{"before the predecessor", 1, 3},
		{"none", 0, 3},
		{"negative", -5, 3},
		{"newer", 7, 8},
		{"the newer one again", 7, 8},
		{"one between", 5, 8},
		{"current after a newer one", 8, 9},
		{"past 32 bits", 1 << 50, 1<<50 + 1},
		{"current, past 32 bits", 1<<50 + 1, 1<<50 + 2},
		{"predecessor, past 32 bits", 1<<50 + 1, 1<<50 + 2},
	} {
		n = wantRotation(t, s, c.what, n, c.given)
		want(t, c.what+": generation", n.Generation, c.want)
	}
	wantSession(t, s, others)
	wantSessions(t, s, alice, n, beside)

	n.LastSeenAt = n.LastSeenAt.Add(time.Minute)
	touch(t, s, authcore.Touch{Account: alice, Session: n.ID, At: n.LastSeenAt})
	n = wantRotation(t, s, "after a touch", n, n.Generation)
	n = wantRotation(t, s, "after a touch, the predecessor", n, n.Generation-1)
	n.LastSeenAt = n.LastSeenAt.Add(time.Minute)
	touch(t, s, authcore.Touch{Account: alice, Session: n.ID, At: n.LastSeenAt})
	wantSession(t, s, n) // a touch does not take the rotation back

	for range authcore.MaxRotations + 2 { // the oldest times go
		n = wantRotation(t, s, "on and on", n, n.Generation)
	}
	n = wantRotation(t, s, "on and on, the predecessor", n, n.Generation-1)
	n = wantRotation(t, s, "on and on, before the predecessor", n, n.Generation-2)
	want(t, "length of its times", len(n.Rotations), authcore.MaxRotationsSize)
	wantSessions(t, s, alice, n, beside)

	over := newSession(alice) // whether its time is over is not for the store to say
	over.ExpiresAt = now().Add(-time.Minute)
	start(t, s, over)
	wantRotation(t, s, "over, but not forgotten", over, 1)

	wantNoRotation(t, s, "nobody's", alice, newSession(alice).ID)
	wantNoRotation(t, s, "another account's", bob, beside.ID)
	wantNoRotation(t, s, "no ID", alice, "")
	wantNoRotation(t, s, "pattern", alice, "%")
	wantNoRotation(t, s, "no account", "", n.ID)
	ended, err := s.EndSession(t.Context(), alice, n.ID)
	must(t, err)
	want(t, "ended", ended, true)
	wantNoRotation(t, s, "ended", alice, n.ID)
	wantOver(t, s, n)
	wantSession(t, s, others)
	wantSession(t, s, beside)
}

// rotationRace rotates at once with the current generation, and with others that must change nothing.
func rotationRace(t *testing.T, s authcore.SessionStore) {
	n := newSession(newAccountID())
	n.Generation = 3
	start(t, s, n)
	for range 2 * fewRounds {
		var seen sync.Map
		all := make([]authcore.Rotation, racers)
		for i := range all {
			all[i] = aRotation()
		}
		parallel(racers, func(i int) {
			given := n.Generation
			if i%4 == 3 {
				given -= int64(i%3 + 1)
			}
			got, err := s.RotateSession(t.Context(), n.Account, n.ID, given, all[i])
			switch {
			case err != nil:
				t.Error(err)
			case got.Generation == n.Generation+1:
				seen.Store(got.Rotations, true)
			case given < n.Generation && got.Generation == n.Generation: // came first
			default:
				t.Errorf("with %d of %d: got %d", given, n.Generation, got.Generation)
			}
		})
		got, err := s.Session(t.Context(), n.Account, n.ID)
		must(t, err)
		n.Generation++
		before := n.Rotations
		n.Rotations, n.RefreshedBy = got.Rotations, got.RefreshedBy
		want(t, "session", got, n)
		seen.Range(func(r, _ any) bool { want(t, "what one of them was told", r, any(n.Rotations)); return true })
		mine := func(r authcore.Rotation) bool { return before.Add(r.At) == n.Rotations }
		if moved := slices.IndexFunc(all, mine); moved < 0 || !slices.ContainsFunc(all, func(r authcore.Rotation) bool { return r.By == n.RefreshedBy }) {
			t.Errorf("%s became %s, by %s; nobody did that", before, n.Rotations, n.RefreshedBy)
		}
	}
}

// rotationChain lets callers rotate again with the generation that they got. Each generation is reached by one step, so
// that no caller gets one that nobody made.
func rotationChain(t *testing.T, s authcore.SessionStore) {
	n := start(t, s, newSession(newAccountID()))
	var newest atomic.Int64
	newest.Store(n.Generation)
	parallel(racers, func(int) {
		for range 10 {
			given := newest.Load()
			got, err := s.RotateSession(t.Context(), n.Account, n.ID, given, aRotation())
			if err != nil {
				t.Error(err)
				return
			}
			if got.Generation <= given || got.Generation > newest.Load()+1 {
				t.Errorf("with %d: got %d, while %d was the newest", given, got.Generation, newest.Load())
			}
			for at := newest.Load(); got.Generation > at && !newest.CompareAndSwap(at, got.Generation); at = newest.Load() {
			}
		}
	})
	got, err := s.Session(t.Context(), n.Account, n.ID)
	must(t, err)
	n.Generation, n.Rotations, n.RefreshedBy = newest.Load(), got.Rotations, got.RefreshedBy
	want(t, "session", got, n)
	want(t, "length of its times", len(n.Rotations), authcore.MaxRotationsSize)
}

// rotationTouching catches a store that writes back the whole session.
func rotationTouching(t *testing.T, s authcore.SessionStore) {
	n := start(t, s, newSession(newAccountID()))
	for range 2 * fewRounds {
		at, r := n.LastSeenAt.Add(time.Second), aRotation()
		parallel(4, func(i int) {
			var err error
			if i%2 == 0 {
				_, err = s.RotateSession(t.Context(), n.Account, n.ID, n.Generation, r)
			} else {
				err = s.TouchSessions(t.Context(), []authcore.Touch{{Account: n.Account, Session: n.ID, At: at}})
			}
			if err != nil {
				t.Error(err)
			}
		})
		n = rotated(n, n.Generation, r)
		n.LastSeenAt = at
		wantSession(t, s, n)
	}
}

// rotationEnding catches a rotation that brings back what ended.
func rotationEnding(t *testing.T, s authcore.SessionStore) {
	account := newAccountID()
	for range 2 * fewRounds {
		n := start(t, s, newSession(account))
		parallel(racers, func(i int) {
			if i == 0 {
				if ended, err := s.EndSession(t.Context(), account, n.ID); err != nil || !ended {
					t.Errorf("end: %v, %v", ended, err)
				}
				return
			}
			got, err := s.RotateSession(t.Context(), account, n.ID, n.Generation, aRotation())
			if err == nil {
				want(t, "before the end", got.Generation, n.Generation+1)
			} else {
				wantKind(t, "after the end", err, authcore.KindSessionOver)
			}
		})
		wantOver(t, s, n)
		wantNoRotation(t, s, "ended", account, n.ID)
	}
}

// rotationHostile has texts in a session that a store could mistake for its generation.
func rotationHostile(t *testing.T, s authcore.SessionStore) {
	texts := append([]string{
		`"gen":7`, `gen":7`, `\"gen\":7`, `\","gen":7,"`, `{"gen":7}`, `"gen":7}`, `x\`, `x\\`, `x"`, `x\"`, `"gen"`, `gen`, `:7`, `"gen": 7`,
		`"gen":-7`, `","rotations":"1","by":"x","`, `,"rotations":"1"`, `,"by":"x"`, `x\",\"by\":\"x\"`, `generation=7`, ` 1 2 3 {"gen":7}`, `%d+`, `%1`, `%%`, "7",
	}, hostile...)
	for i, text := range texts {
		n := newSession(newAccountID())
		n.Dialect, n.UserAgent, n.Generation, n.Epoch = text, texts[len(texts)-1-i], 7, 7
		if len(text) < 1000 {
			n.Account, n.ID = n.Account+authcore.AccountID(text), n.ID+authcore.SessionID(text)
		}
		start(t, s, n)
		n = wantRotation(t, s, fmt.Sprintf("current, with %.40q", text), n, 7)
		n = wantRotation(t, s, fmt.Sprintf("current again, with %.40q", text), n, 8)
		n = wantRotation(t, s, fmt.Sprintf("predecessor, with %.40q", text), n, 8)
		wantRotation(t, s, fmt.Sprintf("newer, with %.40q", text), n, 12345)
	}
}
