package storetest

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

func sessionExpiry(t *testing.T, s authcore.SessionStore) {
	at := now().Add(time.Hour) // when DeleteExpired looks; later than any clock of the store's own
	cases := []struct {
		name    string
		expires time.Duration // from at
		seen    time.Duration
		idle    time.Duration
		touched time.Duration // 0: not at all
		gone    bool
	}{
		{"fresh", time.Hour, -time.Minute, time.Hour, 0, false},
		{"absolute end before", -time.Millisecond, -time.Minute, time.Hour, 0, true},
		{"absolute end long before", -24 * time.Hour, -48 * time.Hour, 0, 0, true},
		{"absolute end now", 0, -time.Minute, time.Hour, 0, false},
		{"absolute end after", time.Millisecond, -time.Minute, time.Hour, 0, false},
		{"idle end before", time.Hour, -time.Minute - time.Millisecond, time.Minute, 0, true},
		{"idle end now", time.Hour, -time.Minute, time.Minute, 0, false},
		{"idle end after", time.Hour, -time.Minute + time.Millisecond, time.Minute, 0, false},
		{"never idle", time.Hour, -10000 * time.Hour, 0, 0, false},
		{"touched in time", time.Hour, -time.Hour, time.Minute, -time.Second, false},
		{"touched too early", time.Hour, -time.Hour, time.Minute, -2 * time.Minute, true},
		{"touched after the absolute end", -time.Second, -time.Hour, time.Minute, -time.Millisecond, true},
		{"both ends before", -time.Minute, -time.Hour, time.Minute, 0, true},
	}
	sessions := make([]authcore.Session, len(cases))
	gone := 0
	for i, c := range cases {
		n := newSession(newAccountID())
		n.CreatedAt, n.LastSeenAt, n.ExpiresAt, n.IdleLimit = at.Add(-50*time.Hour), at.Add(c.seen), at.Add(c.expires), c.idle
		start(t, s, n)
		if c.touched != 0 {
			n.LastSeenAt = at.Add(c.touched)
			touch(t, s, authcore.Touch{Account: n.Account, Session: n.ID, At: n.LastSeenAt})
		}
		if sessions[i] = n; c.gone {
			gone++
		}
	}
	for _, expected := range []int{gone, 0} {
		deleted, err := s.DeleteExpired(t.Context(), at)
		must(t, err)
		want(t, "deleted", deleted, expected)
		for i, c := range cases {
			_, err := s.Session(t.Context(), sessions[i].Account, sessions[i].ID)
			if c.gone {
				wantKind(t, c.name, err, authcore.KindSessionOver)
			} else if err != nil {
				t.Errorf("%s: %v", c.name, err)
			} else {
				wantSession(t, s, sessions[i])
			}
		}
	}
	for i, c := range cases { // what was forgotten cannot be ended any more
		ended, err := s.EndSession(t.Context(), sessions[i].Account, sessions[i].ID)
		must(t, err)
		want(t, c.name+": ended", ended, !c.gone)
	}
}

func sessionExpiryRace(t *testing.T, s authcore.SessionStore) {
	account := newAccountID()
	at := now().Add(time.Hour)
	for range 10 {
		const expired = 5
		for range expired {
			n := newSession(account)
			n.ExpiresAt = at.Add(-time.Millisecond)
			start(t, s, n)
		}
		var sum atomic.Int64
		parallel(racers, func(int) {
			n, err := s.DeleteExpired(t.Context(), at)
			if err != nil {
				t.Error(err)
			}
			sum.Add(int64(n))
		})
		want(t, "deleted by all callers", sum.Load(), expired)
		wantSessions(t, s, account)
	}
}

// sessionSelfExpiry checks a store whose sessions expire by themselves: not within an hour of their end. DeleteExpired
// counts those that it deletes.
func sessionSelfExpiry(t *testing.T, s authcore.SessionStore) {
	account := newAccountID()
	base := now()
	cases := []struct {
		name                string
		expires, seen, idle time.Duration
	}{
		{"fresh", time.Hour, 0, time.Hour},
		{"absolute end just now", -time.Millisecond, -time.Hour, 0},
		{"absolute end most of an hour ago", -50 * time.Minute, -time.Hour, 0},
		{"idle end most of an hour ago", time.Hour, -55 * time.Minute, 5 * time.Minute},
		{"never idle", time.Hour, -10000 * time.Hour, 0},
	}
	var sessions []authcore.Session
	for i, c := range cases {
		n := newSession(account)
		n.CreatedAt, n.ExpiresAt = base.Add(-time.Duration(i)*time.Second), base.Add(c.expires)
		n.LastSeenAt, n.IdleLimit = base.Add(c.seen), c.idle
		sessions = append(sessions, start(t, s, n))
	}
	for range 2 {
		_, err := s.DeleteExpired(t.Context(), now())
		must(t, err)
		for i, c := range cases {
			got, err := s.Session(t.Context(), account, sessions[i].ID)
			must(t, err)
			want(t, c.name, got, sessions[i])
		}
		wantSessions(t, s, account, sessions...)
	}

	over := newSession(newAccountID())
	over.ExpiresAt = base.Add(-2 * time.Hour)
	start(t, s, over)
	deleted, err := s.DeleteExpired(t.Context(), now())
	must(t, err)
	if _, err := s.Session(t.Context(), over.Account, over.ID); err == nil {
		want(t, "deleted", deleted, 0)
	} else {
		wantKind(t, "two hours after its end", err, authcore.KindSessionOver)
	}
}
