package authcore

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// hasher computes password hashes, a few at a time, because argon2id makes a denial of service cheap. A hash that cannot
// start at once waits in a bounded queue; if that is full, it is refused before anything is allocated.
type hasher struct {
	cost    Argon2
	slots   *semaphore.Weighted
	queue   int64 // maximum of those that wait or run
	waiting atomic.Int64
	wait    time.Duration
	decoy   verifier
	hashes  atomic.Int64 // computed so far
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
	return &hasher{cost: o.Cost, slots: semaphore.NewWeighted(int64(o.Parallel)), queue: int64(o.Parallel + o.Queue), wait: o.Wait, decoy: decoy}, nil
}

var errBusy = &Error{Kind: KindUnavailable, Msg: "too many logins at once; try again shortly", RetryAfter: 2 * time.Second}

// do runs f in a slot, or returns errBusy or the context's error.
func (h *hasher) do(ctx context.Context, f func()) error {
	if h.waiting.Add(1) > h.queue {
		h.waiting.Add(-1)
		return errBusy
	}
	defer h.waiting.Add(-1)
	ctx, cancel := context.WithTimeout(ctx, h.wait)
	defer cancel()
	if err := h.slots.Acquire(ctx, 1); err != nil {
		return errBusy
	}
	defer h.slots.Release(1)
	h.hashes.Add(1)
	f()
	return nil
}

func (h *hasher) hash(ctx context.Context, p Password) (out PasswordHash, err error) {
	n, ok := p.normal()
	if !ok {
		return "", Errorf(KindWeakPassword, "unusable password")
	}
	err = h.do(ctx, func() { out = h.cost.hash(n) })
	return out, err
}

// verify checks p against stored. If stored is empty or damaged, it does the same work against a decoy, so that the time
// tells nothing. rehash reports that p is right and that the hash should be replaced.
func (h *hasher) verify(ctx context.Context, p Password, stored PasswordHash) (ok, rehash bool, err error) {
	v, perr := parseHash(stored)
	if perr != nil {
		v = h.decoy
	}
	n, usable := p.normal()
	if !usable {
		n = []byte{0} // no password contains it
	}
	err = h.do(ctx, func() { ok = v.matches(n) })
	ok = ok && usable && perr == nil
	return ok, ok && v.outdated(h.cost), err
}
