package storetest

import (
	"crypto/rand"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

func sessionEnding(t *testing.T, s authcore.SessionStore) {
	alice, bob := newAccountID(), newAccountID()
	a, b, c := start(t, s, newSession(alice)), start(t, s, newSession(alice)), start(t, s, newSession(bob))
	end := func(what string, account authcore.AccountID, id authcore.SessionID, expected bool) {
		t.Helper()
		ended, err := s.EndSession(t.Context(), account, id)
		must(t, err)
		want(t, what, ended, expected)
	}
	end("another account's", bob, a.ID, false)
	end("nobody's", alice, authcore.SessionID(rand.Text()), false)
	end("no ID", alice, "", false)
	end("pattern", alice, "%", false)
	wantSession(t, s, a)
	end("right", alice, a.ID, true)
	wantOver(t, s, a)
	end("again", alice, a.ID, false)
	wantSessions(t, s, alice, b)
	wantSession(t, s, c)
}

func wantEnded(t *testing.T, s authcore.SessionStore, account authcore.AccountID, except authcore.SessionID, sessions ...authcore.Session) {
	t.Helper()
	got, err := s.EndSessions(t.Context(), account, math.MaxInt64, except)
	must(t, err)
	ids := make([]authcore.SessionID, 0, len(sessions))
	for _, n := range sessions {
		ids = append(ids, n.ID)
		wantOver(t, s, n)
	}
	slices.Sort(ids)
	slices.Sort(got)
	want(t, "ended", append([]authcore.SessionID{}, got...), ids)
}

func sessionEndingEpochs(t *testing.T, s authcore.SessionStore) {
	alice := newAccountID()
	epochs := []int64{0, 0, 1, 2, 2, 3, 1 << 40}
	all := make([]authcore.Session, len(epochs))
	at := now()
	for i, epoch := range epochs {
		all[i] = newSession(alice)
		all[i].CreatedAt, all[i].Epoch = at.Add(-time.Duration(i)*time.Millisecond), epoch
		start(t, s, all[i])
	}
	ended := func(epoch int64, except authcore.Session, sessions ...authcore.Session) {
		t.Helper()
		got, err := s.EndSessions(t.Context(), alice, epoch, except.ID)
		must(t, err)
		want(t, fmt.Sprintf("ended before epoch %d", epoch), len(got), len(sessions))
		for _, n := range sessions {
			wantOver(t, s, n)
		}
	}
	ended(0, authcore.Session{})
	ended(2, all[1], all[0], all[2])
	ended(2, authcore.Session{}, all[1])
	ended(1<<40, all[3], all[4], all[5])
	wantSessions(t, s, alice, all[3], all[6])
}

func sessionEndingAll(t *testing.T, s authcore.SessionStore) {
	alice, bob := newAccountID(), newAccountID()
	wantEnded(t, s, alice, "")
	a, b, c := start(t, s, newSession(alice)), start(t, s, newSession(alice)), start(t, s, newSession(alice))
	over := newSession(alice)
	over.ExpiresAt = now().Add(-time.Minute)
	start(t, s, over)
	other := start(t, s, newSession(bob))
	wantEnded(t, s, alice, b.ID, a, c, over)
	wantSessions(t, s, alice, b)
	wantEnded(t, s, alice, b.ID)
	wantEnded(t, s, alice, other.ID, b) // an exception that is not the account's
	wantEnded(t, s, alice, "")
	wantSession(t, s, other)
	wantEnded(t, s, bob, "", other)
}

func sessionEndRace(t *testing.T, s authcore.SessionStore) {
	account := newAccountID()
	for range rounds {
		n := start(t, s, newSession(account))
		var wins atomic.Int32
		parallel(racers, func(int) {
			ended, err := s.EndSession(t.Context(), account, n.ID)
			if err != nil {
				t.Error(err)
			}
			if ended {
				wins.Add(1)
			}
			if _, err := s.Session(t.Context(), account, n.ID); authcore.KindOf(err) != authcore.KindSessionOver {
				t.Errorf("after EndSession returned: %v", err)
			}
		})
		if wins.Load() != 1 {
			t.Fatalf("%d callers ended the same session, want exactly one", wins.Load())
		}
	}
}

// tally counts how often each session was ended.
type tally struct {
	mu    sync.Mutex
	ended map[authcore.SessionID]int
}

func (c *tally) add(ids ...authcore.SessionID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		c.ended[id]++
	}
}

func sessionEndAllRace(t *testing.T, s authcore.SessionStore) {
	account := newAccountID()
	for range rounds {
		sessions := make([]authcore.Session, 4)
		for i := range sessions {
			sessions[i] = start(t, s, newSession(account))
		}
		count := tally{ended: make(map[authcore.SessionID]int)}
		parallel(racers, func(i int) {
			if i%2 == 0 {
				ids, err := s.EndSessions(t.Context(), account, math.MaxInt64, "")
				if err != nil {
					t.Error(err)
				}
				count.add(ids...)
				return
			}
			id := sessions[i/2%len(sessions)].ID
			ended, err := s.EndSession(t.Context(), account, id)
			if err != nil {
				t.Error(err)
			}
			if ended {
				count.add(id)
			}
		})
		for _, n := range sessions {
			if count.ended[n.ID] != 1 {
				t.Fatalf("%d callers ended the same session, want exactly one", count.ended[n.ID])
			}
			wantOver(t, s, n)
		}
		want(t, "sessions ended", len(count.ended), len(sessions))
	}
}

// sessionEndAllCreating ends all sessions of an account while others are created. Sessions from before the call are ended,
// those created during it may be; none is lost, and none is both ended and stored.
func sessionEndAllCreating(t *testing.T, s authcore.SessionStore) {
	for range rounds {
		account := newAccountID()
		var mu sync.Mutex
		var created []authcore.SessionID
		var ended []authcore.SessionID
		var before int
		parallel(5, func(i int) {
			if i == 0 {
				for { // when some are there, so that the call falls among the others
					mu.Lock()
					before = len(created)
					mu.Unlock()
					if before >= 2 {
						break
					}
					time.Sleep(50 * time.Microsecond)
				}
				var err error
				if ended, err = s.EndSessions(t.Context(), account, math.MaxInt64, ""); err != nil {
					t.Error(err)
				}
				return
			}
			for range 3 {
				n := newSession(account)
				if err := s.CreateSession(t.Context(), n); err != nil {
					t.Error(err)
				}
				mu.Lock()
				created = append(created, n.ID)
				mu.Unlock()
			}
		})
		left, err := s.Sessions(t.Context(), account)
		must(t, err)
		state := make(map[authcore.SessionID]string)
		for _, id := range ended {
			state[id] += "ended "
		}
		for _, n := range left {
			state[n.ID] += "left "
		}
		for i, id := range created {
			if st := state[id]; st != "ended " && (st != "left " || i < before) {
				t.Fatalf("session %d (%d were created before the call) is %q", i, before, st)
			}
		}
		want(t, "sessions in all", len(state), len(created))
	}
}
