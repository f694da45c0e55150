package storetest

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

var keyTests = []group[authcore.KeyStore]{
	{"rotation", keyRotation},
	{"order", keyOrder},
	{"compare-and-swap", keySwap},
	{"consume-once/first key", keyFirstRace},
	{"consume-once/rotation", keyRotationRace},
	{"expiry", keyExpiry},
	{"times", keyTimes},
	{"hostile strings", keyHostile},
	{"cancellation", keyCanceled},
}

func newKey(p authcore.KeyPurpose) authcore.Key {
	return authcore.Key{ID: newID(), Purpose: p, Secret: newHash(), CreatedAt: now()}
}

func addKey(t *testing.T, s authcore.KeyStore, k authcore.Key, newest string, until time.Time, expected bool) {
	t.Helper()
	added, err := s.AddKey(t.Context(), k, newest, until)
	must(t, err)
	if added != expected {
		t.Fatalf("AddKey after %q: got %v", newest, added)
	}
}

func wantKeys(t *testing.T, s authcore.KeyStore, p authcore.KeyPurpose, keys ...authcore.Key) {
	t.Helper()
	got, err := s.Keys(t.Context(), p)
	must(t, err)
	if len(got)+len(keys) > 0 {
		want(t, "keys", got, keys)
	}
}

func keyRotation(t *testing.T, s authcore.KeyStore) {
	wantKeys(t, s, authcore.KeySigning)
	a, b, c := newKey(authcore.KeySigning), newKey(authcore.KeySigning), newKey(authcore.KeySigning)
	b.CreatedAt, c.CreatedAt = a.CreatedAt.Add(time.Hour), a.CreatedAt.Add(2*time.Hour)
	hash := newKey(authcore.KeyEmailHash)

	addKey(t, s, a, "", time.Time{}, true)
	wantKeys(t, s, authcore.KeySigning, a)
	wantKeys(t, s, authcore.KeyEmailHash)
	addKey(t, s, hash, "", time.Time{}, true) // another purpose has its own first key

	addKey(t, s, b, a.ID, a.CreatedAt.Add(5*time.Hour), true)
	a.RetiredAt, a.DeleteAt = b.CreatedAt, a.CreatedAt.Add(5*time.Hour)
	wantKeys(t, s, authcore.KeySigning, b, a)

	addKey(t, s, c, b.ID, time.Time{}, true) // retired, but until when is not known
	b.RetiredAt = c.CreatedAt
	wantKeys(t, s, authcore.KeySigning, c, b, a)
	wantKeys(t, s, authcore.KeyEmailHash, hash)
}

// keyOrder checks that the newest key is the one that signs, even if two were made in one millisecond, or by a node whose
// clock is behind. If a retired key came first, no rotation would work any more.
func keyOrder(t *testing.T, s authcore.KeyStore) {
	at := now()
	newest := ""
	for i, offset := range []time.Duration{0, 0, time.Minute, -time.Minute, -time.Minute, time.Hour, 0} {
		k := newKey(authcore.KeySigning)
		k.CreatedAt = at.Add(offset)
		addKey(t, s, k, newest, at.Add(24*time.Hour), true)
		keys, err := s.Keys(t.Context(), authcore.KeySigning)
		must(t, err)
		want(t, "number of keys", len(keys), i+1)
		want(t, "the newest", keys[0], k)
		for _, old := range keys[1:] {
			if old.RetiredAt.IsZero() {
				t.Error("two keys sign")
			}
		}
		newest = k.ID
	}
}

func keySwap(t *testing.T, s authcore.KeyStore) {
	a, b := newKey(authcore.KeySigning), newKey(authcore.KeySigning)
	hash := newKey(authcore.KeyEmailHash)
	addKey(t, s, newKey(authcore.KeySigning), a.ID, time.Time{}, false) // there is none yet
	addKey(t, s, hash, "", time.Time{}, true)
	addKey(t, s, a, hash.ID, a.CreatedAt, false) // there is one, but of another purpose
	wantKeys(t, s, authcore.KeySigning)
	wantKeys(t, s, authcore.KeyEmailHash, hash)
	addKey(t, s, a, "", time.Time{}, true)
	until := a.CreatedAt.Add(time.Hour)
	addKey(t, s, b, a.ID, until, true)
	a.RetiredAt, a.DeleteAt = b.CreatedAt, until

	for name, newest := range map[string]string{
		"there is one": "", "retired": a.ID, "nobody's": newID(), "another purpose's": hash.ID, "pattern": "%",
	} {
		t.Log(name)
		addKey(t, s, newKey(authcore.KeySigning), newest, until, false)
		wantKeys(t, s, authcore.KeySigning, b, a)
		wantKeys(t, s, authcore.KeyEmailHash, hash)
	}

	again := newKey(authcore.KeySigning)
	again.ID = a.ID
	_, err := s.AddKey(t.Context(), again, b.ID, until)
	wantPlain(t, "an ID for the second time", err)
	wantKeys(t, s, authcore.KeySigning, b, a) // and b was not retired for it
}

// raceToAdd lets callers rotate at once and returns the key that was added.
func raceToAdd(t *testing.T, s authcore.KeyStore, p authcore.KeyPurpose, newest string) authcore.Key {
	t.Helper()
	keys := make([]authcore.Key, racers)
	for i := range keys {
		keys[i] = newKey(p)
		keys[i].CreatedAt = keys[i].CreatedAt.Add(time.Duration(i) * time.Millisecond)
	}
	var wins atomic.Int32
	var winner atomic.Int64
	parallel(racers, func(i int) {
		added, err := s.AddKey(t.Context(), keys[i], newest, keys[i].CreatedAt.Add(time.Hour))
		if err != nil {
			t.Error(err)
		}
		if added {
			wins.Add(1)
			winner.Store(int64(i))
		}
	})
	if wins.Load() != 1 {
		t.Fatalf("%d callers added the next key, want exactly one", wins.Load())
	}
	return keys[winner.Load()]
}

func keyFirstRace(t *testing.T, s authcore.KeyStore) {
	for r := range rounds {
		p := authcore.KeyPurpose(fmt.Sprintf("purpose %d", r))
		wantKeys(t, s, p, raceToAdd(t, s, p, ""))
	}
}

func keyRotationRace(t *testing.T, s authcore.KeyStore) {
	var chain []authcore.Key // newest first
	newest := ""
	for range rounds {
		k := raceToAdd(t, s, authcore.KeySigning, newest)
		if newest != "" {
			chain[0].RetiredAt, chain[0].DeleteAt = k.CreatedAt, k.CreatedAt.Add(time.Hour)
		}
		chain = slices.Insert(chain, 0, k)
		newest = k.ID
	}
	wantKeys(t, s, authcore.KeySigning, chain...)
}

func keyExpiry(t *testing.T, s authcore.KeyStore) {
	at := now().Add(time.Hour)
	var chain []authcore.Key
	newest := ""
	deletes := []time.Time{at.Add(-time.Hour), at.Add(-time.Millisecond), at, at.Add(time.Millisecond), {}}
	for i := range len(deletes) + 1 {
		k := newKey(authcore.KeySigning)
		k.CreatedAt = k.CreatedAt.Add(time.Duration(i) * time.Second)
		var until time.Time
		if i > 0 {
			until = deletes[i-1]
			chain[0].RetiredAt, chain[0].DeleteAt = k.CreatedAt, until
		}
		addKey(t, s, k, newest, until, true)
		chain = slices.Insert(chain, 0, k)
		newest = k.ID
	}
	for range 2 {
		must(t, s.DeleteKeys(t.Context(), at))
		wantKeys(t, s, authcore.KeySigning, chain[:4]...) // the two oldest lie before
	}
}

func keyTimes(t *testing.T, s authcore.KeyStore) {
	for i, at := range times {
		p := authcore.KeyPurpose(fmt.Sprintf("purpose %d", i))
		a, b := newKey(p), newKey(p)
		until := times[(i+2)%len(times)]
		a.CreatedAt, b.CreatedAt = at, times[(i+1)%len(times)]
		addKey(t, s, a, "", time.Time{}, true)
		addKey(t, s, b, a.ID, until, true)
		a.CreatedAt, b.CreatedAt = kept(a.CreatedAt), kept(b.CreatedAt)
		a.RetiredAt, a.DeleteAt = b.CreatedAt, kept(until)
		wantKeys(t, s, p, b, a)
		got, err := s.Keys(t.Context(), p)
		must(t, err)
		for _, at := range []time.Time{got[0].CreatedAt, got[1].RetiredAt, got[1].DeleteAt} {
			wantUTC(t, "key", at)
		}
	}
}

func keyHostile(t *testing.T, s authcore.KeyStore) {
	for i, secret := range binary {
		k := newKey(authcore.KeyPurpose(hostile[i]))
		k.ID, k.Secret = hostile[i], secret
		addKey(t, s, k, "", time.Time{}, true)
		wantKeys(t, s, k.Purpose, k)
	}
	wantKeys(t, s, authcore.KeySigning)
}

func keyCanceled(t *testing.T, s authcore.KeyStore) {
	a := newKey(authcore.KeySigning)
	addKey(t, s, a, "", time.Time{}, true)
	ctx := canceled()
	_, err := s.Keys(ctx, authcore.KeySigning)
	wantCanceled(t, "Keys", err)
	added, err := s.AddKey(ctx, newKey(authcore.KeySigning), a.ID, now())
	wantCanceled(t, "AddKey", err)
	want(t, "AddKey", added, false)
	wantCanceled(t, "DeleteKeys", s.DeleteKeys(ctx, now()))
	wantKeys(t, s, authcore.KeySigning, a)
}
