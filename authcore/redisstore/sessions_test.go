//go:build linux

package redisstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/internal/redistest"
)

// TestSessionLifetime checks when Redis forgets an account's sessions: an hour after the last of them is over.
func TestSessionLifetime(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, fresh(Options{URLs: []string{server.URL()}}))
	now := time.Now().UTC().Truncate(time.Millisecond)
	hour := time.Hour
	session := func(account string, expires, seen, idle time.Duration) authcore.Session {
		n := newSession(authcore.AccountID(account))
		n.ExpiresAt, n.LastSeenAt, n.IdleLimit = now.Add(expires), now.Add(seen), idle
		return n
	}
	check := func(what, account string, want time.Duration) {
		t.Helper()
		ttl, err := server.Client().PTTL(t.Context(), s.sessionsKey(authcore.AccountID(account))).Result()
		must(t, err)
		if ttl > want || ttl < want-time.Minute {
			t.Errorf("%s: kept for %v, want %v", what, ttl, want)
		}
	}
	touch := func(n authcore.Session, at time.Duration) {
		t.Helper()
		must(t, s.TouchSessions(t.Context(), []authcore.Touch{{Account: n.Account, Session: n.ID, At: now.Add(at)}}))
	}
	create := func(n authcore.Session) {
		t.Helper()
		must(t, s.CreateSession(t.Context(), n))
	}

	n := session("a", 10*hour, 0, 2*hour)
	create(n)
	check("idle end first", "a", 3*hour)
	touch(n, hour)
	check("touched", "a", 4*hour)
	touch(n, 9*hour)
	check("touched, absolute end first", "a", 11*hour)
	_, err := s.RotateSession(t.Context(), n.Account, n.ID, n.Generation, rotation)
	must(t, err)
	check("rotated", "a", 11*hour)
	create(session("a", 5*hour, 0, 0))
	check("beside a shorter one", "a", 11*hour)
	create(session("a", 20*hour, 0, 0))
	check("beside a longer one", "a", 21*hour)
	create(session("over", -24*hour, -48*hour, 0))
	check("over for long", "over", hour)
	create(session("ever", 100*365*24*hour, 0, 0))
	check("in a hundred years", "ever", 100*365*24*hour+hour)
	_, err = s.EndSessions(t.Context(), "a", math.MaxInt64, "")
	must(t, err)
	if left, err := server.Client().Exists(t.Context(), s.sessionsKey("a")).Result(); err != nil || left != 0 {
		t.Errorf("of an account without sessions there are %d keys, %v", left, err)
	}
}

// TestSessionsForgotten: an account that logs in again and again does not gather sessions for ever.
func TestSessionsForgotten(t *testing.T) {
	t.Parallel()
	s := open(t, fresh(Options{URLs: []string{redistest.Start(t).URL()}}))
	const account = "account"
	alive, recent := newSession(account), newSession(account)
	recent.ExpiresAt = time.Now().Add(-50 * time.Minute)
	must(t, s.CreateSession(t.Context(), alive))
	must(t, s.CreateSession(t.Context(), recent))
	for i := range 300 {
		n := newSession(account)
		if i%2 == 0 {
			n.ExpiresAt = time.Now().Add(-61 * time.Minute)
		} else {
			n.LastSeenAt = time.Now().Add(-n.IdleLimit - 61*time.Minute)
		}
		must(t, s.CreateSession(t.Context(), n))
		if _, err := s.Session(t.Context(), account, n.ID); err != nil {
			t.Fatalf("right after it was created: %v", err)
		}
	}
	all, err := s.Sessions(t.Context(), account)
	must(t, err)
	if len(all) > 10 {
		t.Errorf("%d sessions are kept", len(all))
	}
	for _, n := range []authcore.Session{alive, recent} {
		_, err := s.Session(t.Context(), account, n.ID)
		must(t, err)
	}
}

// TestSessionOfAnother puts what belongs elsewhere under a key: the reader gets an error, not the session.
func TestSessionOfAnother(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, fresh(Options{URLs: []string{server.URL()}}))
	mine, other, foreign := newSession("mine"), newSession("mine"), newSession("foreign")
	for _, n := range []authcore.Session{mine, other, foreign} {
		must(t, s.CreateSession(t.Context(), n))
	}
	c, key := server.Client(), s.sessionsKey("mine")
	text := func(n authcore.Session) string {
		got, err := c.HGet(t.Context(), s.sessionsKey(n.Account), string(n.ID)).Result()
		must(t, err)
		return got
	}
	own := text(mine)
	moved := foreign
	moved.ID = mine.ID
	asMine, err := encodeSession(moved)
	must(t, err)
	for name, wrong := range map[string]string{
		"another session": text(other), "another account's": text(foreign), "another account's of the same ID": asMine,
		"nothing": "", "no numbers": "a b c {}", "no JSON": "1 2 3 {", "cut off": own[:len(own)-1], "one number": "17",
		"a bad address": strings.Replace(own, "192.0.2.7", "192.0.2", 1),
	} {
		must(t, c.HSet(t.Context(), key, string(mine.ID), wrong).Err())
		got, err := s.Session(t.Context(), "mine", mine.ID)
		if err == nil || hasKind(err) || got != (authcore.Session{}) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
		all, err := s.Sessions(t.Context(), "mine")
		if err == nil || hasKind(err) || all != nil {
			t.Errorf("%s: listed %+v, %v", name, all, err)
		}
		if got, err := s.RotateSession(t.Context(), "mine", mine.ID, 2, rotation); err == nil || hasKind(err) || got != (authcore.Session{}) {
			t.Errorf("%s: rotated %+v, %v", name, got, err)
		}
		if ended, err := s.EndSession(t.Context(), "mine", mine.ID); !ended || err != nil {
			t.Errorf("%s: ended: %v, %v", name, ended, err)
		}
	}

	// What a newer version adds is no mistake, and neither a touch nor a rotation loses it.
	newer := strings.Replace(own, `{`, `{"new":{"a b":[1.50],"generation":2,"text":"\"gen\":2"},`, 1)
	must(t, c.HSet(t.Context(), key, string(mine.ID), newer).Err())
	mine.LastSeenAt = mine.LastSeenAt.Add(time.Minute)
	must(t, s.TouchSessions(t.Context(), []authcore.Touch{{Account: "mine", Session: mine.ID, At: mine.LastSeenAt}}))
	got, err := s.Session(t.Context(), "mine", mine.ID)
	must(t, err)
	if got != mine {
		t.Errorf("got %+v, want %+v", got, mine)
	}
	if touched := text(mine); touched[strings.Index(touched, " "):] != newer[strings.Index(newer, " "):] {
		t.Errorf("a touch made %q of %q", touched, newer)
	}
	expected := strings.Replace(text(mine), `"gen":2,`, `"gen":3,"rotations":"1700000000000","by":"client-of-the-rotation",`, 1)
	mine.Generation, mine.Rotations, mine.RefreshedBy = 3, "1700000000000", rotation.By
	got, err = s.RotateSession(t.Context(), "mine", mine.ID, 2, rotation)
	if err != nil || got != mine {
		t.Errorf("got %+v, want %+v, %v", got, mine, err)
	}
	if rotated := text(mine); rotated != expected {
		t.Errorf("a rotation made %q of it, want %q", rotated, expected)
	}
}

// TestSessionOfVersionBefore has nodes of this version and of the one before, which knew no rotations, share a session.
func TestSessionOfVersionBefore(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, fresh(Options{URLs: []string{server.URL()}}))
	n := newSession("mine")
	n.CreatedAt, n.LastSeenAt, n.ExpiresAt = fromMillis(1_700_000_000_000), fromMillis(1_700_000_000_001), fromMillis(1_900_000_000_000)
	key := s.sessionsKey("mine")
	must(t, server.Client().HSet(t.Context(), key, string(n.ID), `1700000000001 1900000000000 1209600000 {"account":"mine","id":"`+string(n.ID)+
		`","created":1700000000000,"gen":2,"epoch":3,"dialect":"rooms","addr":"192.0.2.7","agent":"agent/1.0"}`).Err())
	if got, err := s.Session(t.Context(), "mine", n.ID); err != nil || got != n {
		t.Errorf("got %+v, want %+v, %v", got, n, err)
	}
	want := func(what string, got, want authcore.Session, err error) {
		t.Helper()
		if err != nil || got != want {
			t.Errorf("%s: got %+v, want %+v, %v", what, got, want, err)
		}
	}
	rotate := func(what string, r authcore.Rotation) {
		t.Helper()
		got, err := s.RotateSession(t.Context(), "mine", n.ID, n.Generation, r)
		n.Generation, n.Rotations, n.RefreshedBy = n.Generation+1, n.Rotations.Add(r.At), r.By
		want(what, got, n, err)
	}
	rotate("a rotation", rotation)
	// As the version before does it.
	must(t, server.Client().Eval(t.Context(), `
local text, asked = redis.call('HGET', KEYS[1], ARGV[1]), tonumber(ARGV[2])
local from, to, generation = string.find(text, '"gen":(%-?%d+)')
if tonumber(generation) <= asked then
	text = string.sub(text, 1, from - 1) .. '"gen":' .. string.format('%.0f', asked + 1) .. string.sub(text, to + 1)
	redis.call('HSET', KEYS[1], ARGV[1], text)
end
return text`, []string{key}, string(n.ID), n.Generation).Err())
	n.Generation++
	got, err := s.Session(t.Context(), "mine", n.ID)
	want("a rotation of the version before", got, n, err)
	rotate("the next one", authcore.Rotation{At: rotation.At.Add(time.Second), By: "another"})
}

// TestHostileIDs: whatever IDs are made of, none reaches another account's sessions.
func TestHostileIDs(t *testing.T) {
	t.Parallel()
	nodes := redistest.StartCluster(t)
	s := open(t, fresh(Options{URLs: []string{nodes[0].URL()}, Mode: Cluster}))
	ids := []string{
		"", "a", "A", "{}", "{a}", "}", "a}:sessions", "a:b", "a\x00b", "a\x00", "*", "feed", "~", "~61", "~66656564", " ", "\n", "ä",
		strings.Repeat("x", 10000), "%00", `\`, `"`,
	}
	for i, account := range ids {
		for k, id := range ids[1:] {
			n := newSession(authcore.AccountID(account))
			n.ID, n.Generation = authcore.SessionID(id), int64(i*100+k)
			must(t, s.CreateSession(t.Context(), n))
		}
	}
	for i, account := range ids {
		for k, id := range ids[1:] {
			n, err := s.Session(t.Context(), authcore.AccountID(account), authcore.SessionID(id))
			if err != nil || n.Account != authcore.AccountID(account) || string(n.ID) != id || n.Generation != int64(i*100+k) {
				t.Errorf("account %.20q, session %.20q: got %+v, %v", account, id, n, err)
			}
		}
	}
	for i, account := range ids {
		ended, err := s.EndSessions(t.Context(), authcore.AccountID(account), math.MaxInt64, "")
		must(t, err)
		if len(ended) != len(ids)-1 {
			t.Errorf("account %d: ended %d, want %d", i, len(ended), len(ids)-1)
		}
	}
	for _, wrong := range []authcore.Session{{Account: "a\xff", ID: "a"}, {Account: "a", ID: "a\xff"}} {
		if err := s.CreateSession(t.Context(), wrong); err == nil || hasKind(err) {
			t.Errorf("an ID that is not text: %v", err)
		}
	}
}

func hasKind(err error) bool {
	_, ok := errors.AsType[*authcore.Error](err)
	return ok
}

// TestRepliesStayApart cuts a hundred thousand calls off at any moment while the server stalls again and again: no
// answer may reach anybody but the one who asked.
func TestRepliesStayApart(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	o := fresh(Options{
		URLs: []string{server.URL()}, CommandTimeout: 30 * time.Millisecond, ConnectTimeout: 100 * time.Millisecond, MaxConns: 32,
	})
	const callers, calls = 32, 100_000 / 32
	s, patient := open2(t, o)
	sessions := make([]authcore.Session, callers)
	for i := range sessions {
		sessions[i] = newSession(authcore.AccountID(fmt.Sprintf("account-%d", i%4)))
		sessions[i].Generation = int64(i)
		must(t, patient.CreateSession(t.Context(), sessions[i]))
	}
	stop := make(chan struct{})
	var pausing sync.WaitGroup
	pausing.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(rand.N(300 * time.Millisecond)):
				_ = server.Client().Do(context.Background(), "client", "pause", 1+rand.IntN(50), "all").Err()
			}
		}
	})
	var good, cut atomic.Int64
	var asking sync.WaitGroup
	for i := range callers {
		asking.Go(func() {
			n := sessions[i]
			for range calls {
				ctx, cancel := context.WithCancel(context.Background())
				switch rand.IntN(4) {
				case 0:
					ctx, cancel = context.WithTimeout(ctx, rand.N(20*time.Millisecond))
				case 1:
					time.AfterFunc(rand.N(20*time.Millisecond), cancel)
				}
				got, err := s.Session(ctx, n.Account, n.ID)
				cancel()
				switch {
				case err == nil && got == n:
					good.Add(1)
				case err == nil:
					t.Errorf("asked for %+v, got %+v", n, got)
					return
				case hasKind(err) || strings.Contains(err.Error(), "stored session"):
					t.Errorf("asked for %+v, got %v", n, err)
					return
				default:
					cut.Add(1)
				}
			}
		})
	}
	asking.Wait()
	close(stop)
	pausing.Wait()
	t.Logf("%d answered, %d cut off", good.Load(), cut.Load())
	if good.Load() < 1000 || cut.Load() < 300 {
		t.Errorf("%d answered and %d cut off: this shows too little", good.Load(), cut.Load())
	}
	for _, n := range sessions {
		if got, err := patient.Session(t.Context(), n.Account, n.ID); err != nil || got != n {
			t.Errorf("afterwards: %+v, %v", got, err)
		}
	}
}

// open2 opens two stores over the same keys, of which the second waits long.
func open2(t *testing.T, o Options) (s, patient *Store) {
	t.Helper()
	slow := o
	slow.ConnectTimeout, slow.CommandTimeout = 20*time.Second, 20*time.Second
	patient = open(t, slow)
	client, err := o.client()
	must(t, err)
	o.Prefix = patient.o.Prefix
	s = &Store{o: o, client: client}
	t.Cleanup(func() { _ = s.Close() })
	return s, patient
}
