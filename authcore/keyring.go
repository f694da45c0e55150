package authcore

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// reloadPause bounds how often an unknown key ID makes the keyring read the store: another node may just have rotated,
// but anybody can invent key IDs.
const reloadPause = 2 * time.Second

// keyring holds the signing keys and rotates them. The newest signs; retired ones verify until the last token that they
// signed has expired.
type keyring struct {
	store  KeyStore
	rotate atomic.Int64 // nanoseconds
	now    func() time.Time

	mu       sync.RWMutex
	signing  signingKey
	verify   map[string]ed25519.PublicKey
	loadedAt time.Time
}

type signingKey struct {
	id      string
	private ed25519.PrivateKey
	born    time.Time
}

// newKeyring makes a keyring that replaces the signing key when it is older than rotate. It is empty until refresh.
func newKeyring(store KeyStore, rotate time.Duration, now func() time.Time) *keyring {
	k := &keyring{store: store, now: now}
	k.rotate.Store(int64(rotate))
	return k
}

// refresh reads the keys, makes a new signing key if there is none or the newest is due, and deletes expired ones.
// lifetime is the longest validity of a token signed from now on. It reports whether it made a key.
func (k *keyring) refresh(ctx context.Context, lifetime time.Duration) (made bool, err error) {
	for range 5 { // a round that is not the last one lost a race to another node
		keys, err := k.store.Keys(ctx, KeySigning)
		if err != nil {
			return made, fmt.Errorf("reading signing keys: %w", err)
		}
		newest := ""
		if len(keys) > 0 {
			newest = keys[0].ID
		}
		if newest != "" && k.now().Sub(keys[0].CreatedAt) < time.Duration(k.rotate.Load()) {
			if err := k.install(keys); err != nil {
				return made, err
			}
			return made, k.store.DeleteKeys(ctx, k.now())
		}
		seed := make([]byte, ed25519.SeedSize)
		rand.Read(seed)
		now := k.now().UTC().Truncate(time.Millisecond)
		fresh := Key{ID: randomID(9), Purpose: KeySigning, Secret: seed, CreatedAt: now}
		added, err := k.store.AddKey(ctx, fresh, newest, now.Add(lifetime+time.Hour))
		if err != nil {
			return made, fmt.Errorf("adding a signing key: %w", err)
		}
		made = made || added
	}
	return made, errors.New("other nodes replace the signing keys faster than they can be read")
}

func (k *keyring) install(keys []Key) error {
	verify := make(map[string]ed25519.PublicKey, len(keys))
	var signing signingKey
	for i, key := range keys {
		if len(key.Secret) != ed25519.SeedSize {
			return fmt.Errorf("signing key %s has %d bytes instead of %d: the table keys is damaged; restore a backup", key.ID, len(key.Secret), ed25519.SeedSize)
		}
		private := ed25519.NewKeyFromSeed(key.Secret)
		if i == 0 {
			signing = signingKey{key.ID, private, key.CreatedAt}
		}
		if key.DeleteAt.IsZero() || k.now().Before(key.DeleteAt) {
			verify[key.ID] = private.Public().(ed25519.PublicKey)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.signing, k.verify, k.loadedAt = signing, verify, k.now()
	return nil
}

func (k *keyring) signer() (signingKey, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.signing.private == nil {
		return signingKey{}, &Error{Kind: KindUnavailable, Msg: "service temporarily unavailable", Err: errors.New("no signing key loaded")}
	}
	return k.signing, nil
}

// public returns the key with that ID. For an unknown one it reads the store again, as another node may have made it.
func (k *keyring) public(ctx context.Context, id string) (ed25519.PublicKey, error) {
	k.mu.Lock()
	key, ok := k.verify[id]
	stale := !ok && k.now().Sub(k.loadedAt) >= reloadPause
	if stale {
		k.loadedAt = k.now()
	}
	k.mu.Unlock()
	if ok {
		return key, nil
	}
	if !stale {
		return nil, errUnknownKey
	}
	keys, err := query(ctx, "reading signing keys", func(ctx context.Context) ([]Key, error) { return k.store.Keys(ctx, KeySigning) })
	if err != nil {
		return nil, err
	}
	if err := k.install(keys); err != nil {
		return nil, unavailable("reading signing keys", err)
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	if key, ok := k.verify[id]; ok {
		return key, nil
	}
	return nil, errUnknownKey
}

// expire lets the next unknown key ID read the store at once, because another node has announced a new key.
func (k *keyring) expire() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.loadedAt = time.Time{}
}

var errUnknownKey = errors.New("signed by an unknown key")

// knows reports whether a key still verifies, as of the last read.
func (k *keyring) knows(id string) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	_, ok := k.verify[id]
	return ok
}

// sharedSecret returns the one key of a purpose that never rotates, making it if there is none.
func sharedSecret(ctx context.Context, store KeyStore, p KeyPurpose, now time.Time) ([]byte, error) {
	for range 2 {
		keys, err := store.Keys(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("reading the %s key: %w", p, err)
		}
		if len(keys) > 0 {
			return keys[len(keys)-1].Secret, nil
		}
		secret := make([]byte, 32)
		rand.Read(secret)
		k := Key{ID: randomID(9), Purpose: p, Secret: secret, CreatedAt: now.UTC().Truncate(time.Millisecond)}
		if _, err := store.AddKey(ctx, k, "", time.Time{}); err != nil {
			return nil, fmt.Errorf("adding the %s key: %w", p, err)
		}
	}
	return nil, fmt.Errorf("the %s key was added but cannot be read", p)
}

// isRandomID reports whether a client's text has the form of [randomID], so that stores can take it.
func isRandomID(text string) bool {
	if len(text) > 64 {
		return false
	}
	for i := range len(text) {
		if c := text[i]; !isAlnum(c) && c != '-' && c != '_' {
			return false
		}
	}
	return text != ""
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// randomID returns n random bytes in base64url.
func randomID(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}
