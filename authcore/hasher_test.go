package authcore

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// idle checks that a hasher has all of its slots, and that nobody waits.
func (h *hasher) idle(t *testing.T, parallel int) {
	t.Helper()
	h.turns.mu.Lock()
	defer h.turns.mu.Unlock()
	want(t, "waiting", h.turns.all.size, 0)
	want(t, "crowds", len(h.turns.all.parts), 0)
	want(t, "slots", h.turns.free, parallel)
}

func TestHasherParallel(t *testing.T) {
	h := testHasher(t, HasherOptions{Parallel: 3, Queue: 200})
	var running, most, done atomic.Int64
	parallel(100, func(int) {
		err := h.do(t.Context(), caller{}, func() {
			n := running.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			h.cost.hash([]byte("x"))
			running.Add(-1)
			done.Add(1)
		})
		if err != nil {
			t.Error(err)
		}
	})
	want(t, "done", done.Load(), 100)
	want(t, "counted", h.hashes.Load(), 100)
	if most.Load() > 3 || most.Load() < 1 {
		t.Errorf("%d at once, want no more than 3", most.Load())
	}
	h.idle(t, 3)
}

// occupy fills all slots of h until release is called.
func occupy(t *testing.T, h *hasher, slots int) (release func()) {
	t.Helper()
	hold, in := make(chan struct{}), make(chan struct{})
	for range slots {
		go func() {
			_ = h.do(context.Background(), caller{}, func() {
				in <- struct{}{}
				<-hold
			})
		}()
	}
	for range slots {
		<-in
	}
	return func() { close(hold) }
}

func TestHasherQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHasher(t, HasherOptions{Parallel: 2, Queue: 3, Wait: 5 * time.Second})
		release := occupy(t, h, 2)
		queued := make(chan error, 10)
		for range 3 {
			go func() { queued <- h.do(t.Context(), caller{}, func() {}) }()
		}
		synctest.Wait()

		// No room: refused at once, and before anything is computed.
		start := time.Now()
		for range 100 {
			_, err := h.hash(t.Context(), caller{}, NewPassword("x"))
			wantKind(t, "the queue is full", err, KindUnavailable)
			if AsError(err).RetryAfter <= 0 {
				t.Error("not told when to come back")
			}
			_, _, err = h.verify(t.Context(), caller{}, NewPassword("x"), "")
			wantKind(t, "the queue is full", err, KindUnavailable)
		}
		want(t, "time passed", time.Since(start), 0)
		want(t, "hashes", h.hashes.Load(), 2)

		release()
		for range 3 {
			if err := <-queued; err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		h.idle(t, 2)
	})
}

func TestHasherWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHasher(t, HasherOptions{Parallel: 1, Queue: 5, Wait: 3 * time.Second})
		release := occupy(t, h, 1)

		start := time.Now()
		ok, _, err := h.verify(t.Context(), caller{}, NewPassword("x"), h.cost.hash([]byte("x")))
		wantKind(t, "waited too long", err, KindUnavailable)
		want(t, "right", ok, false)
		want(t, "waited", time.Since(start), 3*time.Second)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		_, err = h.hash(ctx, caller{}, NewPassword("x"))
		wantKind(t, "the caller's deadline", err, KindUnavailable)
		want(t, "waited", time.Since(start), time.Second)

		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		_, err = h.hash(ctx, caller{}, NewPassword("x"))
		wantKind(t, "a cancelled caller", err, KindUnavailable)

		want(t, "hashes", h.hashes.Load(), 1)
		release()
		synctest.Wait()
		h.idle(t, 1)
		if err := h.do(t.Context(), caller{}, func() {}); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// Callers that come, wait, give up and are refused in any order leave all slots behind.
func TestHasherLosesNoSlot(t *testing.T) {
	h := testHasher(t, HasherOptions{Parallel: 2, Queue: 8, Wait: 2 * time.Millisecond})
	parallel(32, func(i int) {
		for k := range 30 {
			ctx, cancel := context.WithCancel(t.Context())
			switch (i + k) % 3 {
			case 0:
				cancel()
			case 1:
				go cancel()
			}
			_, _ = h.hash(ctx, caller{}, NewPassword("x"))
			cancel()
		}
	})
	h.idle(t, 2)
}

// The times of a known and of an unknown name are for a person to compare: go test -bench Login -count 10
func BenchmarkLogin(b *testing.B) {
	h := newHouse(b, func(_ *StateOptions, p *Policy) {
		p.Hash = HasherOptions{Cost: DefaultArgon2, Parallel: 2, Queue: 10, Wait: time.Minute}
		p.Backoff = Backoff{Free: 100, Base: 1, Max: 1}
	})
	h.register(b, "alice")
	for _, who := range []struct{ what, name string }{{"known", "alice"}, {"unknown", "mallory"}, {"impossible", "<b>"}} {
		b.Run(who.what, func(b *testing.B) {
			for b.Loop() {
				h.clock.Advance(time.Second)
				if _, err := h.try(b, who.name, "wrong password"); KindOf(err) != KindWrongPassword && KindOf(err) != KindUnknownAccount {
					b.Fatal(err)
				}
			}
		})
	}
}
