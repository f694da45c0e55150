package storetest

import (
	"crypto/rand"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

var sessionTests = []group[authcore.SessionStore]{
	{"lookups", sessionLookups},
	{"ending", sessionEnding},
	{"ending all", sessionEndingAll},
	{"ending epochs", sessionEndingEpochs},
	{"consume-once/one session", sessionEndRace},
	{"consume-once/all sessions", sessionEndAllRace},
	{"consume-once/while others are created", sessionEndAllCreating},
	{"touch", sessionTouch},
	{"touch/at once", sessionTouchRace},
	{"touch/while it ends", sessionTouchEnding},
	{"touch/many", sessionTouchMany},
	{"rotation", rotation},
	{"rotation/at once", rotationRace},
	{"rotation/chain", rotationChain},
	{"rotation/while it is touched", rotationTouching},
	{"rotation/while it ends", rotationEnding},
	{"rotation/hostile strings", rotationHostile},
	{"times", sessionTimes},
	{"addresses", sessionAddresses},
	{"hostile strings", sessionHostile},
	{"cancellation", sessionCanceled},
}

func sessionGroups(selfExpiring bool) []group[authcore.SessionStore] {
	if selfExpiring {
		return append(slices.Clone(sessionTests), group[authcore.SessionStore]{"expiry by itself", sessionSelfExpiry})
	}
	return append(slices.Clone(sessionTests), []group[authcore.SessionStore]{
		{"expiry", sessionExpiry},
		{"expiry/at once", sessionExpiryRace},
	}...)
}

func newAccountID() authcore.AccountID { return authcore.AccountID(newID()) }

func newSession(account authcore.AccountID) authcore.Session {
	at := now()
	return authcore.Session{
		ID: authcore.SessionID(rand.Text()), Account: account, CreatedAt: at, LastSeenAt: at, ExpiresAt: at.Add(30 * 24 * time.Hour),
		IdleLimit: 14 * 24 * time.Hour, Generation: 1, Epoch: 3, Dialect: "rooms", Addr: netip.MustParseAddr("192.0.2.7"),
		UserAgent: "agent/1.0",
	}
}

func start(t *testing.T, s authcore.SessionStore, n authcore.Session) authcore.Session {
	t.Helper()
	must(t, s.CreateSession(t.Context(), n))
	return n
}

func wantSession(t *testing.T, s authcore.SessionStore, n authcore.Session) {
	t.Helper()
	got, err := s.Session(t.Context(), n.Account, n.ID)
	must(t, err)
	want(t, "session", got, n)
}

func wantOver(t *testing.T, s authcore.SessionStore, n authcore.Session) {
	t.Helper()
	got, err := s.Session(t.Context(), n.Account, n.ID)
	wantKind(t, "session", err, authcore.KindSessionOver)
	want(t, "what comes with the error", got, authcore.Session{})
	all, err := s.Sessions(t.Context(), n.Account)
	must(t, err)
	if slices.ContainsFunc(all, func(o authcore.Session) bool { return o.ID == n.ID }) {
		t.Error("a session that is over is still listed")
	}
}

// wantSessions checks the list, newest first.
func wantSessions(t *testing.T, s authcore.SessionStore, account authcore.AccountID, sessions ...authcore.Session) {
	t.Helper()
	got, err := s.Sessions(t.Context(), account)
	must(t, err)
	if len(got)+len(sessions) > 0 {
		want(t, "list", got, sessions)
	}
}

func sessionLookups(t *testing.T, s authcore.SessionStore) {
	alice, bob := newAccountID(), newAccountID()
	wantSessions(t, s, alice)
	base := now()
	older, newer, middle := newSession(alice), newSession(alice), newSession(alice)
	older.CreatedAt, middle.CreatedAt, newer.CreatedAt = base.Add(-2*time.Millisecond), base.Add(-time.Millisecond), base
	older.Generation, older.Epoch, older.Dialect, older.IdleLimit = 1<<40, 1<<41, "auth", 0
	newer.Epoch = 0
	newer.Rotations, newer.RefreshedBy = authcore.Rotations("").Add(base).Add(base), aRotation().By
	middle.ExpiresAt = base.Add(-time.Minute) // over, but not forgotten
	newer.LastSeenAt, newer.IdleLimit = base.Add(-time.Hour), time.Minute
	other := newSession(bob)
	for _, n := range []authcore.Session{newer, older, middle, other} {
		start(t, s, n)
	}
	for _, n := range []authcore.Session{newer, older, middle, other} {
		wantSession(t, s, n)
	}
	wantSessions(t, s, alice, newer, middle, older)
	wantSessions(t, s, bob, other)
	wantSessions(t, s, newAccountID())

	for name, n := range map[string]authcore.Session{
		"nobody's": newSession(alice), "another account's": {Account: bob, ID: older.ID}, "no ID": {Account: alice},
		"pattern": {Account: alice, ID: "%"}, "glob": {Account: alice, ID: "*"}, "no account": {ID: older.ID},
	} {
		_, err := s.Session(t.Context(), n.Account, n.ID)
		wantKind(t, name, err, authcore.KindSessionOver)
	}

	second := newSession(alice)
	second.ID = older.ID
	wantPlain(t, "an ID for the second time", s.CreateSession(t.Context(), second))
	wantSession(t, s, older)
}

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

func sessionTimes(t *testing.T, s authcore.SessionStore) {
	account := newAccountID()
	for i, at := range times {
		n := newSession(account)
		n.CreatedAt, n.LastSeenAt, n.ExpiresAt = at, times[(i+1)%len(times)], times[(i+2)%len(times)]
		n.IdleLimit = time.Duration(i) * 1001 * time.Millisecond
		start(t, s, n)
		got, err := s.Session(t.Context(), account, n.ID)
		must(t, err)
		for _, at := range []time.Time{got.CreatedAt, got.LastSeenAt, got.ExpiresAt} {
			wantUTC(t, "session", at)
		}
		n.CreatedAt, n.LastSeenAt, n.ExpiresAt = kept(n.CreatedAt), kept(n.LastSeenAt), kept(n.ExpiresAt)
		want(t, "session", got, n)
	}
	n := newSession(newAccountID())
	n.IdleLimit = 100 * 365 * 24 * time.Hour
	wantSession(t, s, start(t, s, n))
}

func sessionAddresses(t *testing.T, s authcore.SessionStore) {
	account := newAccountID()
	for _, addr := range []string{"", "0.0.0.0", "203.0.113.255", "::", "::1", "2001:db8::ff", "::ffff:192.0.2.1", "fe80::1%eth0"} {
		n := newSession(account)
		if n.Addr = (netip.Addr{}); addr != "" {
			n.Addr = netip.MustParseAddr(addr)
		}
		wantSession(t, s, start(t, s, n))
	}
}

func sessionHostile(t *testing.T, s authcore.SessionStore) {
	account := newAccountID()
	var sessions []authcore.Session
	for i, text := range hostile {
		n := newSession(account)
		n.CreatedAt = n.CreatedAt.Add(-time.Duration(i) * time.Second) // in the order of the list
		n.Dialect, n.UserAgent = text, hostile[len(hostile)-1-i]
		sessions = append(sessions, start(t, s, n))
	}
	for _, n := range sessions {
		wantSession(t, s, n)
	}
	wantSessions(t, s, account, sessions...)
}

func sessionCanceled(t *testing.T, s authcore.SessionStore) {
	n := start(t, s, newSession(newAccountID()))
	other := newSession(n.Account)
	ctx := canceled()
	wantCanceled(t, "CreateSession", s.CreateSession(ctx, other))
	wantOver(t, s, other)
	_, err := s.Session(ctx, n.Account, n.ID)
	wantCanceled(t, "Session", err)
	_, err = s.Sessions(ctx, n.Account)
	wantCanceled(t, "Sessions", err)
	wantCanceled(t, "TouchSessions", s.TouchSessions(ctx, []authcore.Touch{{Account: n.Account, Session: n.ID, At: now().Add(time.Hour)}}))
	rotated, err := s.RotateSession(ctx, n.Account, n.ID, n.Generation, aRotation())
	wantCanceled(t, "RotateSession", err)
	want(t, "RotateSession", rotated, authcore.Session{})
	ended, err := s.EndSession(ctx, n.Account, n.ID)
	wantCanceled(t, "EndSession", err)
	want(t, "EndSession", ended, false)
	ids, err := s.EndSessions(ctx, n.Account, math.MaxInt64, "")
	wantCanceled(t, "EndSessions", err)
	want(t, "EndSessions", len(ids), 0)
	deleted, err := s.DeleteExpired(ctx, n.ExpiresAt.Add(time.Hour))
	wantCanceled(t, "DeleteExpired", err)
	want(t, "DeleteExpired", deleted, 0)
	wantSession(t, s, n)
}
