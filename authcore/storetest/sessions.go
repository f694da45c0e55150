package storetest

import (
	"crypto/rand"
	"math"
	"net/netip"
	"slices"
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
