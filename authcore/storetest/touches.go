package storetest

import (
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

func touch(t *testing.T, s authcore.SessionStore, touches ...authcore.Touch) {
	t.Helper()
	must(t, s.TouchSessions(t.Context(), touches))
}

func sessionTouch(t *testing.T, s authcore.SessionStore) {
	account := newAccountID()
	a, b := start(t, s, newSession(account)), start(t, s, newSession(account))
	at := func(n authcore.Session, d time.Duration) authcore.Touch {
		return authcore.Touch{Account: n.Account, Session: n.ID, At: a.CreatedAt.Add(d)}
	}
	seen := func(n *authcore.Session, d time.Duration) {
		t.Helper()
		n.LastSeenAt = a.CreatedAt.Add(d)
		wantSession(t, s, *n) // with everything else as it was
	}
	touch(t, s)
	touch(t, s, at(a, time.Minute))
	seen(&a, time.Minute)
	wantSession(t, s, b)
	touch(t, s, at(a, time.Minute+time.Millisecond))
	seen(&a, time.Minute+time.Millisecond)
	touch(t, s, at(a, time.Minute), at(a, -time.Hour))
	seen(&a, time.Minute+time.Millisecond)
	// In one batch: the same session twice, in either order.
	touch(t, s, at(a, 3*time.Minute), at(b, 2*time.Minute), at(a, 2*time.Minute), at(b, 3*time.Minute))
	seen(&a, 3*time.Minute)
	seen(&b, 3*time.Minute)

	// Over, unknown and another account's are passed over, without keeping the others in the batch from being seen.
	gone := start(t, s, newSession(account))
	_, err := s.EndSession(t.Context(), account, gone.ID)
	must(t, err)
	foreign := b
	foreign.Account = newAccountID()
	touch(t, s, at(gone, time.Hour), at(newSession(account), time.Hour), at(foreign, time.Hour), at(a, 4*time.Minute))
	seen(&a, 4*time.Minute)
	wantSession(t, s, b)
	wantOver(t, s, gone)
	wantSessions(t, s, foreign.Account)
	all, err := s.Sessions(t.Context(), account)
	must(t, err)
	want(t, "sessions after touching", len(all), 2)

	local := at(a, 5*time.Minute)
	local.At = local.At.Add(999 * time.Microsecond).In(time.FixedZone("east", 3600))
	touch(t, s, local)
	seen(&a, 5*time.Minute)
}

func sessionTouchRace(t *testing.T, s authcore.SessionStore) {
	account := newAccountID()
	sessions := []authcore.Session{newSession(account), newSession(account), newSession(account)}
	for _, n := range sessions {
		start(t, s, n)
	}
	for range rounds {
		offsets := make([]time.Duration, racers)
		latest := time.Duration(0)
		for i := range offsets {
			offsets[i] = time.Duration(mathrand.IntN(100000)) * time.Millisecond
			latest = max(latest, offsets[i])
		}
		base := sessions[0].LastSeenAt
		parallel(racers, func(i int) {
			batch := make([]authcore.Touch, 0, len(sessions))
			for k := range sessions { // each in another order, as deadlocks need it
				n := sessions[(i+k)%len(sessions)]
				batch = append(batch, authcore.Touch{Account: account, Session: n.ID, At: base.Add(offsets[i])})
			}
			if i%2 == 0 {
				slices.Reverse(batch)
			}
			if err := s.TouchSessions(t.Context(), batch); err != nil {
				t.Error(err)
			}
		})
		for i := range sessions {
			sessions[i].LastSeenAt = base.Add(latest)
			wantSession(t, s, sessions[i])
		}
	}
}

// sessionTouchEnding catches a touch that brings back what ended.
func sessionTouchEnding(t *testing.T, s authcore.SessionStore) {
	account := newAccountID()
	for range rounds {
		n := start(t, s, newSession(account))
		parallel(racers, func(i int) {
			if i == 0 {
				if ended, err := s.EndSession(t.Context(), account, n.ID); err != nil || !ended {
					t.Errorf("end: %v, %v", ended, err)
				}
				return
			}
			at := n.CreatedAt.Add(time.Duration(i) * time.Second)
			if err := s.TouchSessions(t.Context(), []authcore.Touch{{Account: account, Session: n.ID, At: at}}); err != nil {
				t.Error(err)
			}
		})
		wantOver(t, s, n)
	}
}

func sessionTouchMany(t *testing.T, s authcore.SessionStore) {
	account := newAccountID()
	n := start(t, s, newSession(account))
	batch := make([]authcore.Touch, 5000)
	for i := range batch {
		batch[i] = authcore.Touch{Account: account, Session: authcore.SessionID(fmt.Sprintf("gone%d", i)), At: n.CreatedAt.Add(time.Minute)}
	}
	batch[len(batch)-1].Session = n.ID
	touch(t, s, batch...)
	n.LastSeenAt = n.CreatedAt.Add(time.Minute)
	wantSessions(t, s, account, n)
}
