package redisstore

import (
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/storetest"
	"github.com/chatgate/chatgate/internal/redistest"
)

type (
	counts   = map[authcore.SessionID]int
	accounts = map[authcore.AccountID]counts
)

func TestPresence(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	storetest.RunPresence(t, func(t *testing.T) storetest.Nodes {
		return presenceNodes(t, openFeed(t, server), openFeed(t, server))
	})
}

// presenceNodes lets two nodes know of each other.
func presenceNodes(t *testing.T, a, b *Store) storetest.Nodes {
	t.Helper()
	storetest.Follow(t, a, storetest.NewRecorder(0))
	return storetest.Nodes{A: a, B: b, EndB: storetest.Follow(t, b, storetest.NewRecorder(0))}
}

// TestPresenceLapses checks that what a node says has an end, and is said anew by each call.
func TestPresenceLapses(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openFeed(t, server)
	key := s.presenceKey("a", s.node)
	for range 2 {
		if err := s.SetPresence(t.Context(), accounts{"a": {"1": 1}}); err != nil {
			t.Fatal(err)
		}
		if got := server.Client().PTTL(t.Context(), key).Val(); got <= 25*time.Minute || got > 30*time.Minute {
			t.Errorf("it lapses after %v", got)
		}
		if err := server.Client().PExpire(t.Context(), key, time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPresenceUnknownNode checks that a node which is no longer heard of does not count, until it is heard of again.
func TestPresenceUnknownNode(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a, b := openFeed(t, server), openFeed(t, server)
	if err := b.SetPresence(t.Context(), accounts{"a": {"1": 1}}); err != nil {
		t.Fatal(err)
	}
	if got, err := a.Presence(t.Context(), "a"); err != nil || len(got) != 0 {
		t.Errorf("presence %v, error %v", got, err)
	}
	storetest.Follow(t, b, storetest.NewRecorder(0))
	if got, err := a.Presence(t.Context(), "a"); err != nil || got["1"] != 1 {
		t.Errorf("presence %v, error %v", got, err)
	}
}

// TestPresenceMixUp checks that a value under another account's key is not taken for its own.
func TestPresenceMixUp(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openFeed(t, server)
	if err := s.SetPresence(t.Context(), accounts{"a": {"1": 1}}); err != nil {
		t.Fatal(err)
	}
	if err := server.Client().Rename(t.Context(), s.presenceKey("a", s.node), s.presenceKey("b", s.node)).Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Presence(t.Context(), "b"); err == nil {
		t.Errorf("presence %v", got)
	}
}

// TestNotText checks that an ID which JSON cannot carry is refused rather than changed.
func TestNotText(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openFeed(t, server)
	for _, a := range []accounts{{"\xff": {"1": 1}}, {"a": {"\xff": 1}}} {
		if err := s.SetPresence(t.Context(), a); err == nil {
			t.Errorf("presence %v was stored", a)
		}
	}
	for _, e := range []authcore.NodeEvent{{Account: "\xff"}, {Kept: "\xff"}, {Sessions: []authcore.SessionID{"a", "\xff"}}} {
		if _, err := s.Publish(t.Context(), e); err == nil {
			t.Errorf("event %v was stored", e)
		}
	}
}

func TestKeyPart(t *testing.T) {
	seen := make(map[string]string)
	for _, s := range []string{
		"", "a", "0b9f5a3e-6f0c-4a51-8d3e-1c2b3a4d5e6f", "A", "feed", "~", "~61", "a}b", "{a", "a:b", "~66656564", "\xff", "ä",
	} {
		part := keyPart(s)
		if other, ok := seen[part]; ok {
			t.Errorf("%q and %q are both %q", s, other, part)
		}
		seen[part] = s
		for _, r := range part {
			if r == '{' || r == '}' || r == ':' || r > '~' {
				t.Errorf("%q is %q", s, part)
			}
		}
	}
}
