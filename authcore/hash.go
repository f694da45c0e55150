package authcore

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// PasswordHash is a stored hash in PHC string format (argon2id), or an imported bcrypt hash. It does not print.
type PasswordHash string

// Format keeps the hash out of logs and errors.
func (PasswordHash) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[hash]")) }

// MarshalText keeps it out of JSON.
func (PasswordHash) MarshalText() ([]byte, error) { return []byte("[hash]"), nil }

// Argon2 is the cost of argon2id (RFC 9106).
type Argon2 struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8
}

// DefaultArgon2 is OWASP's first choice for a server that must also do other work: 19 MiB, two passes, one lane.
var DefaultArgon2 = Argon2{Memory: 19 * 1024, Time: 2, Threads: 1}

// The maximum cost of a stored hash; a costlier one is refused rather than computed.
const (
	maxArgonMemory = 256 * 1024 // KiB
	maxArgonTime   = 16
	maxBcryptCost  = 14
	saltSize       = 16
	keySize        = 32
)

// String returns the cost in the form of a hash.
func (a Argon2) String() string { return fmt.Sprintf("m=%d,t=%d,p=%d", a.Memory, a.Time, a.Threads) }

func (a Argon2) validate() error {
	if a.Memory < 8*uint32(a.Threads) || a.Memory > maxArgonMemory || a.Time < 1 || a.Time > maxArgonTime || a.Threads < 1 || a.Threads > 8 {
		return fmt.Errorf("argon2id cost %v is out of bounds (m up to %d KiB, t 1 to %d, p 1 to 8)", a, maxArgonMemory, maxArgonTime)
	}
	return nil
}

func (a Argon2) hash(password []byte) PasswordHash {
	var salt [saltSize]byte
	rand.Read(salt[:])
	return a.encode(salt[:], argon2.IDKey(password, salt[:], a.Time, a.Memory, a.Threads, keySize))
}

func (a Argon2) encode(salt, key []byte) PasswordHash {
	b64 := base64.RawStdEncoding
	return PasswordHash(fmt.Sprintf("$argon2id$v=%d$%v$%s$%s", argon2.Version, a, b64.EncodeToString(salt), b64.EncodeToString(key)))
}

// decoy returns a hash that no password matches, and that costs as much to check as a real one.
func (a Argon2) decoy() PasswordHash {
	var salt [saltSize]byte
	var key [keySize]byte
	rand.Read(salt[:])
	rand.Read(key[:])
	return a.encode(salt[:], key[:])
}

// verifier is a parsed hash whose cost is within the maximum.
type verifier struct {
	cost   Argon2
	salt   []byte
	key    []byte
	bcrypt []byte // instead of the others
}

func parseHash(h PasswordHash) (verifier, error) {
	var v verifier
	s := string(h)
	if strings.HasPrefix(s, "$2a$") || strings.HasPrefix(s, "$2b$") || strings.HasPrefix(s, "$2y$") {
		cost, err := bcrypt.Cost([]byte(s))
		if err != nil || cost > maxBcryptCost {
			return v, fmt.Errorf("stored bcrypt hash cannot be used (cost %d): %w", cost, err)
		}
		v.bcrypt = []byte(s)
		return v, nil
	}
	f := strings.Split(s, "$")
	if len(f) != 6 || f[0] != "" || f[1] != "argon2id" || f[2] != "v="+strconv.Itoa(argon2.Version) {
		return v, fmt.Errorf("stored hash is of no known form")
	}
	if n, err := fmt.Sscanf(f[3], "m=%d,t=%d,p=%d", &v.cost.Memory, &v.cost.Time, &v.cost.Threads); n != 3 || err != nil || v.cost.String() != f[3] {
		return v, fmt.Errorf("stored hash has no readable cost")
	}
	if err := v.cost.validate(); err != nil {
		return v, fmt.Errorf("stored hash: %w", err)
	}
	var err1, err2 error
	v.salt, err1 = base64.RawStdEncoding.DecodeString(f[4])
	v.key, err2 = base64.RawStdEncoding.DecodeString(f[5])
	if err1 != nil || err2 != nil || len(v.salt) < 8 || len(v.key) < 16 || len(v.key) > 64 {
		return v, fmt.Errorf("stored hash has an unusable salt or key")
	}
	return v, nil
}

func (v verifier) matches(password []byte) bool {
	if v.bcrypt != nil {
		return bcrypt.CompareHashAndPassword(v.bcrypt, password) == nil
	}
	key := argon2.IDKey(password, v.salt, v.cost.Time, v.cost.Memory, v.cost.Threads, uint32(len(v.key))) //nolint:gosec // parseHash bounds the length
	return subtle.ConstantTimeCompare(key, v.key) == 1
}

// outdated reports whether the next login should replace the hash: it has another scheme, or is cheaper than cost.
func (v verifier) outdated(cost Argon2) bool {
	return v.bcrypt != nil || v.cost.Memory < cost.Memory || v.cost.Time < cost.Time || len(v.key) < keySize
}

// hasher computes password hashes, a few at a time, because argon2id makes a denial of service cheap. A hash that cannot
// start at once waits for its turn; if no more may wait, it is refused before anything is allocated.
type hasher struct {
	cost   Argon2
	turns  turnstile
	wait   time.Duration
	decoy  verifier
	hashes atomic.Int64 // computed so far
}

// HasherOptions are the cost of a password hash, and how many are computed at a time.
type HasherOptions struct {
	Cost     Argon2
	Parallel int           // hashes at once; use the number of cores
	Queue    int           // callers that may wait for those
	Wait     time.Duration // how long a caller may wait
}

// Validate returns an error if an option is out of range.
func (o HasherOptions) Validate() error {
	if err := o.Cost.validate(); err != nil {
		return err
	}
	if o.Parallel < 1 || o.Queue < 0 || o.Wait <= 0 {
		return errors.New("a hasher needs at least one slot, a queue of zero or more and a positive wait")
	}
	return nil
}

func newHasher(o HasherOptions) (*hasher, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	decoy, err := parseHash(o.Cost.decoy())
	if err != nil {
		return nil, err
	}
	return &hasher{cost: o.Cost, turns: turnstile{free: o.Parallel, room: o.Queue}, wait: o.Wait, decoy: decoy}, nil
}

var errBusy = &Error{Kind: KindUnavailable, Msg: "too many logins at once; try again shortly", RetryAfter: 2 * time.Second}

// do runs f when it is the caller's turn, or returns errBusy.
func (h *hasher) do(ctx context.Context, c caller, f func()) error {
	if err := h.turns.enter(ctx, c, h.wait); err != nil {
		return err
	}
	defer h.turns.leave()
	h.hashes.Add(1)
	f()
	return nil
}

func (h *hasher) hash(ctx context.Context, c caller, p Password) (out PasswordHash, err error) {
	n, ok := p.normal()
	if !ok {
		return "", Errorf(KindWeakPassword, "unusable password")
	}
	err = h.do(ctx, c, func() { out = h.cost.hash(n) })
	return out, err
}

// verify checks p against stored. If stored is empty or damaged, it does the same work against a decoy, so that the time
// tells nothing. rehash reports that p is right and that the hash should be replaced.
func (h *hasher) verify(ctx context.Context, c caller, p Password, stored PasswordHash) (ok, rehash bool, err error) {
	v, perr := parseHash(stored)
	if perr != nil {
		v = h.decoy
	}
	n, usable := p.normal()
	if !usable {
		n = []byte{0} // no password contains it
	}
	err = h.do(ctx, c, func() { ok = v.matches(n) })
	ok = ok && usable && perr == nil
	return ok, ok && v.outdated(h.cost), err
}
