package relay

import (
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/chatgate/chatgate/authcore"
)

// TestNothingIsLeft opens relays and ends them in every way; what they cost is given back.
func TestNothingIsLeft(t *testing.T) {
	ways := map[string]func(*rig){
		"end": func(r *rig) { r.Start(); r.End(authcore.EndSession); r.polite() },
		"end before start": func(r *rig) {
			r.End(authcore.EndShutdown)
			r.Start()
			r.polite()
		},
		"end inside a frame": func(r *rig) {
			r.Start()
			_, _ = r.upstream.Write(header(fin, opBinary, bare, 10))
			r.inside(&r.toDn)
			r.End(authcore.EndSession)
			r.polite()
		},
		"abandon":           func(r *rig) { r.Abandon(); r.polite() },
		"end and abandon":   func(r *rig) { r.End(authcore.EndSession); r.Abandon(); r.polite() },
		"violation":         func(r *rig) { r.Start(); _, _ = r.client.Write(text(bare, "unmasked")); r.polite() },
		"client closes":     func(r *rig) { r.Start(); r.client.leaves(); r.polite() },
		"upstream closes":   func(r *rig) { r.Start(); r.upstream.leaves(); r.polite() },
		"client vanishes":   func(r *rig) { r.Start(); _ = r.client.Close(); r.polite() },
		"upstream vanishes": func(r *rig) { r.Start(); _ = r.upstream.Close(); r.polite() },
		"client resets":     func(r *rig) { r.Start(); r.client.reset(); r.polite() },
		"upstream resets":   func(r *rig) { r.Start(); r.upstream.reset(); r.polite() },
		"both reset":        func(r *rig) { r.Start(); r.upstream.reset(); r.client.reset() },
	}
	fds := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(d)
	}
	connect(t, "tcp") // the poller has descriptors of its own
	goroutines, descriptors := runtime.NumGoroutine(), fds()
	const relays, atOnce = 1000, 200
	n := 0
	for n < relays {
		t.Run("", func(t *testing.T) { // so that each round's clean-up runs
			var all sync.WaitGroup
			defer all.Wait()
			for _, use := range ways {
				for range atOnce / len(ways) {
					kind := kinds[n%len(kinds)]
					r := newRig(t, kind, kind, Options{times: brief}, nil, text(bare, "welcome"))
					all.Go(func() { use(r) })
					defer r.over(patience)
					n++
				}
			}
		})
	}
	eventually(t, "the descriptors of the beginning", func() bool { return fds() <= descriptors })
	eventually(t, "the goroutines of the beginning", func() bool { return runtime.NumGoroutine() <= goroutines })
}

// polite is how both peers go once they are told to.
func (r *rig) polite() {
	var both sync.WaitGroup
	both.Go(r.client.drain)
	both.Go(r.upstream.drain)
	both.Wait()
}
