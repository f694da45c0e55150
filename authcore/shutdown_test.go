package authcore

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestEndAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, func(o *StateOptions, _ *Policy) { o.Now = time.Now })
		a := h.register(t, "alice")
		conns := make([]conn, 50)
		for i := range conns {
			if i%5 == 0 {
				if err := h.HoldVisitor(&conns[i], &conns[i].lease); err != nil {
					t.Fatal(err)
				}
				continue
			}
			h.hold(t, h.session(t, a), &conns[i], false)
		}
		want(t, "connections", h.state.live.Connections(), 50)
		g := h.session(t, a)
		start := time.Now()
		want(t, "told", h.state.live.EndAll(t.Context(), 10*time.Second), 50)
		if took := time.Since(start); took < 9*time.Second || took > 10*time.Second {
			t.Errorf("took %v, want nearly 10s", took)
		}
		for i := range conns {
			want(t, "ended", conns[i].ended(), "session:0 token:0 shutdown:1")
		}
		var late conn
		_, err := h.holdToken(t.Context(), h.tok(g), &late, &late.lease, false)
		wantKind(t, "held after the end", err, KindUnavailable)
		wantKind(t, "a visitor held after the end", h.HoldVisitor(&late, &late.lease), KindUnavailable)
		want(t, "connections", h.state.live.Connections(), 50)

		// Told when there is no time left: at once.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		start = time.Now()
		want(t, "told again", h.state.live.EndAll(ctx, time.Hour), 50)
		want(t, "took", time.Since(start), 0)
		for i := range conns {
			conns[i].lease.Release()
		}
		want(t, "connections", h.state.live.Connections(), 0)
		want(t, "nobody left", h.state.live.EndAll(t.Context(), time.Hour), 0)
	})
}

// What is held while everything ends is told, or was refused.
func TestEndAllRaces(t *testing.T) {
	for range 200 {
		h := &house{clock: newClock()}
		l := newLive(h.clock.Now)
		conns := make([]conn, 16)
		var held [16]bool
		parallel(len(conns)+1, func(i int) {
			if i == len(conns) {
				l.EndAll(context.Background(), 0)
				return
			}
			held[i] = l.attach(&l.anon, &conns[i], &conns[i].lease, 0)
		})
		for i := range conns {
			if told := conns[i].ends[EndShutdown].Load(); held[i] != (told == 1) {
				t.Fatalf("held %v, told %d times", held[i], told)
			}
		}
	}
}
