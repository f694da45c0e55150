package authcore

import (
	"context"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const keyLifetime = 24 * time.Hour

func testKeyring(t testing.TB, m *memory, c *clock) *keyring {
	t.Helper()
	k := newKeyring(m, time.Hour, c.Now)
	if err := k.Refresh(t.Context(), keyLifetime); err != nil {
		t.Fatal(err)
	}
	return k
}

func signerID(t testing.TB, k *keyring) string {
	t.Helper()
	return must[signingKey](t)(k.signer()).id
}

// JWT-09: an old key verifies in its grace, and is dead after it; the newest signs.
func TestJWT09Rotation(t *testing.T) {
	h := newHouse(t, func(o *StateOptions, _ *Policy) { o.KeyRotate = time.Hour })
	old := h.person(t, "alice")
	first := signerID(t, h.state.keyring)
	refresh := func() {
		t.Helper()
		if err := h.state.keyring.Refresh(t.Context(), h.state.options.MaxTokens); err != nil {
			t.Fatal(err)
		}
	}
	h.clock.Advance(time.Hour - 1)
	refresh()
	want(t, "too young to rotate", signerID(t, h.state.keyring), first)
	h.clock.Advance(1)
	refresh()
	if signerID(t, h.state.keyring) == first {
		t.Fatal("not rotated")
	}
	fresh := h.login(t, "alice")
	for _, g := range []Grant{old, fresh} {
		must[Identity](t)(h.auth(t, g))
	}
	if k := h.store.keys[0]; k.RetiredAt.IsZero() || k.DeleteAt.Before(old.Expires) {
		t.Errorf("the retired key is deleted at %v, and its token good until %v", k.DeleteAt, old.Expires)
	}

	// A key is forgotten when nothing that it signed can be valid.
	h.clock.Advance(h.state.options.MaxTokens - time.Hour - time.Minute)
	refresh()
	must[ProvenSession](t)(h.Authenticate(t.Context(), UnverifiedToken(h.login(t, "alice").Token)))
	h.clock.Advance(3 * time.Hour)
	refresh()
	if h.state.keyring.knows(first) {
		t.Error("the dead key still verifies")
	}
	for _, k := range h.store.keys {
		if k.ID == first {
			t.Error("the dead key is still stored")
		}
	}
}

// JWT-09: a key that somebody took out of the store is dead with the next look at it, for remembered tokens too.
func TestJWT09RemovedKey(t *testing.T) {
	h := newHouse(t)
	g := h.person(t, "alice")
	must[Identity](t)(h.auth(t, g))
	must[Identity](t)(h.auth(t, g))
	id := signerID(t, h.state.keyring)
	h.store.mu.Lock()
	kept := h.store.keys[:0]
	for _, k := range h.store.keys {
		if k.ID != id {
			kept = append(kept, k)
		}
	}
	h.store.keys = kept
	h.store.mu.Unlock()
	if err := h.state.keyring.Refresh(t.Context(), h.state.options.MaxTokens); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, err := h.auth(t, g)
		wantKind(t, "signed by the removed key", err, KindBadToken)
	}
	must[Identity](t)(h.auth(t, h.login(t, "alice")))
}

// JWT-09: a key past its end does not verify, even if the store failed to forget it.
func TestKeyPastItsEnd(t *testing.T) {
	m, c := newMemory(), newClock()
	k := testKeyring(t, m, c)
	first := signerID(t, k)
	c.Advance(time.Hour)
	if err := k.Refresh(t.Context(), keyLifetime); err != nil {
		t.Fatal(err)
	}
	m.onCall(func(_ context.Context, op string) error {
		if op == "DeleteKeys" {
			return errStore
		}
		return nil
	})
	c.Advance(keyLifetime + time.Hour)
	_ = k.Refresh(t.Context(), keyLifetime)
	if k.knows(first) {
		t.Error("it verifies")
	}
}

// An unknown key ID, which anybody can invent, causes at most one look into the store in each pause; what another node
// signed is found by it.
func TestUnknownKeyReload(t *testing.T) {
	m, c := newMemory(), newClock()
	k := testKeyring(t, m, c)
	before := m.count("Keys")
	for range 100 {
		if _, err := k.public(t.Context(), "invented"); !errors.Is(err, errUnknownKey) {
			t.Fatalf("got %v", err)
		}
	}
	want(t, "looks within the pause", m.count("Keys")-before, 0)
	for round := range 3 {
		c.Advance(reloadPause)
		before := m.count("Keys")
		parallel(100, func(i int) { _, _ = k.public(t.Context(), fmt.Sprint(i)) })
		want(t, fmt.Sprintf("looks in pause %d", round), m.count("Keys")-before, 1)
	}

	other := newKeyring(m, time.Hour, c.Now)
	c.Advance(2 * time.Hour)
	if err := other.Refresh(t.Context(), keyLifetime); err != nil {
		t.Fatal(err)
	}
	id := signerID(t, other)
	key, err := k.public(t.Context(), id)
	if err != nil || !key.Equal(must[signingKey](t)(other.signer()).private.Public()) {
		t.Errorf("the key of another node: %v", err)
	}
	want(t, "and signs from now on", signerID(t, k), id)

	c.Advance(reloadPause)
	m.onCall(func(context.Context, string) error { return errStore })
	_, err = k.public(t.Context(), "invented")
	wantKind(t, "the store is broken", err, KindUnavailable)
	if _, err := k.public(t.Context(), id); err != nil {
		t.Errorf("a known key, when the store is broken: %v", err)
	}
}

// Of keyrings that rotate at once one wins, and all sign with what it made.
func TestKeyringsRace(t *testing.T) {
	for range 30 {
		m, c := newMemory(), newClock()
		for gen := 1; gen <= 3; gen++ {
			ids := make([]string, 8)
			parallel(len(ids), func(i int) {
				k := newKeyring(m, time.Hour, c.Now)
				if err := k.Refresh(context.Background(), keyLifetime); err != nil {
					t.Error(err)
					return
				}
				ids[i] = signerID(t, k)
			})
			for _, id := range ids {
				want(t, "signs with", id, ids[0])
			}
			want(t, "keys", len(m.keys), gen)
			c.Advance(time.Hour)
		}
	}
}

func TestKeyringWithoutKeys(t *testing.T) {
	m := newMemory()
	k := newKeyring(m, time.Hour, newClock().Now)
	_, err := k.signer()
	wantKind(t, "signing before a refresh", err, KindUnavailable)
	m.onCall(func(context.Context, string) error { return errStore })
	if err := k.Refresh(t.Context(), keyLifetime); err == nil {
		t.Error("no error without a store")
	}
	m.onCall(nil)
	m.keys = []Key{{ID: "short", Purpose: KeySigning, Secret: make([]byte, 31), CreatedAt: newClock().Now()}}
	if err := k.Refresh(t.Context(), keyLifetime); err == nil || strings.Contains(err.Error(), "\x00") {
		t.Errorf("a damaged key: %v", err)
	}
}

// A restart, and a second node, use the keys that are there.
func TestRestartKeepsKeys(t *testing.T) {
	m, c := newMemory(), newClock()
	h := newHouseOn(t, m, c)
	g := h.person(t, "alice")
	keys := len(m.keys)
	for range 3 {
		again := newHouseOn(t, m, c)
		id := must[Identity](t)(again.auth(t, g))
		want(t, "who", id.Account, g.Account.ID)
		want(t, "the signing key", signerID(t, again.state.keyring), signerID(t, h.state.keyring))
		want(t, "the key of e-mail addresses", string(again.state.emailKey), string(h.state.emailKey))
		want(t, "keys", len(m.keys), keys)
	}
	if len(h.state.emailKey) != 32 || string(h.state.emailKey) == string(must[signingKey](t)(h.state.keyring.signer()).private.Seed()) {
		t.Error("one key for two purposes, or a short one")
	}
	// Of states that open at once over an empty store, all agree.
	m = newMemory()
	var emailKeys [8]string
	parallel(8, func(i int) {
		st, err := OpenState(context.Background(), StateOptions{
			Accounts: m, Sessions: m, Revocations: m, Codes: m, Invites: m, Devices: m, Keys: m, Limits: h.state.options.Limits, KeyRotate: time.Hour, MaxTokens: time.Hour, Now: c.Now,
		})
		if err != nil {
			t.Error(err)
			return
		}
		emailKeys[i] = string(st.emailKey)
	})
	for _, k := range emailKeys {
		want(t, "the key of e-mail addresses", k == emailKeys[0], true)
	}
	want(t, "keys", len(m.keys), 5) // a signing key, and four that never rotate
}

// JWT-11: what nobody may guess is long, random, and made by crypto/rand.
func TestJWT11Randomness(t *testing.T) {
	seen := make(map[string]bool)
	var ones [128]int
	for range 10_000 {
		id := randomID(16)
		raw, err := b64.DecodeString(id)
		if err != nil || len(raw) != 16 || len(id) != 22 || seen[id] {
			t.Fatalf("%q: %v", id, err)
		}
		seen[id] = true
		for bit := range ones {
			ones[bit] += int(raw[bit/8] >> (bit % 8) & 1)
		}
	}
	for bit, n := range ones {
		if n < 4600 || n > 5400 { // eight standard deviations
			t.Errorf("bit %d is set in %d of 10,000", bit, n)
		}
	}
	h := newHouse(t)
	h.register(t, "alice")
	jtis := make(map[string]bool)
	for range 50 {
		g := h.login(t, "alice")
		c, err := h.tokens.check(t.Context(), UnverifiedToken(g.Token))
		if err != nil || len(g.Session.ID) != 22 || seen[string(g.Session.ID)] || len(c.ID) != 16 || jtis[c.ID] {
			t.Fatalf("session %q, token %+v: %v", g.Session.ID, c, err)
		}
		seen[string(g.Session.ID)], jtis[c.ID] = true, true
	}
	for _, k := range h.store.keys {
		if len(k.Secret) != 32 || len(k.ID) != 12 {
			t.Errorf("key %q of %d bytes", k.ID, len(k.Secret))
		}
	}
}

func TestJWT11NoMathRand(t *testing.T) {
	for _, dir := range []string{".", "sqlstore"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, e := range entries {
			name := e.Name()
			if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), dir+"/"+name, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			n++
			for _, i := range file.Imports {
				if path, _ := strconv.Unquote(i.Path.Value); path == "math/rand" || path == "math/rand/v2" {
					t.Errorf("%s/%s imports %s", dir, name, path)
				}
			}
		}
		if n == 0 {
			t.Errorf("no files in %s", dir)
		}
	}
}

// JWT-09: no valid request fails while keys rotate under it.
func TestJWT09UnderLoad(t *testing.T) {
	h := newHouse(t, func(o *StateOptions, _ *Policy) { o.KeyRotate = time.Minute })
	h.register(t, "alice")
	var failed, done atomic.Int64
	stop := make(chan struct{})
	rotated := make(chan struct{})
	go func() {
		defer close(rotated)
		for range 50 {
			h.clock.Advance(time.Minute)
			if err := h.state.keyring.Refresh(context.Background(), h.state.options.MaxTokens); err != nil {
				t.Error(err)
			}
			for target := done.Load() + 20; done.Load() < target; { // let some requests through
				runtime.Gosched()
			}
		}
		close(stop)
	}()
	parallel(4, func(int) {
		g := h.login(t, "alice")
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if n%10 == 0 {
				g = h.login(t, "alice")
			}
			if _, err := h.auth(t, g); err != nil {
				failed.Add(1)
				t.Log(err)
			}
			done.Add(1)
		}
	})
	<-rotated
	want(t, "failed", failed.Load(), 0)
}

// Refresh is refresh, for tests that do not ask who made the key.
func (k *keyring) Refresh(ctx context.Context, lifetime time.Duration) error {
	_, err := k.refresh(ctx, lifetime)
	return err
}
