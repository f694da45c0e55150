package relay

import (
	"runtime"
	"testing"
	"time"
)

// TestSilentUpstream: an upstream that sends nothing for too long is left, whatever the client sends; one that sends is not.
func TestSilentUpstream(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			const idle = 2 * time.Second
			r := startRig(t, kind, Options{times: brisk, Framing: Frames{IdleUp: idle}})
			for start := time.Now(); time.Since(start) < 2*idle; time.Sleep(idle / 20) {
				r.upstream.say("tick")
				r.client.hears("tick")
			}
			gone := make(chan struct{})
			var said int
			go func() {
				defer close(gone)
				ping := frame(fin, 0x9, true, []byte("p"))
				for ; ; said++ {
					select {
					case <-time.After(idle / 20):
					case <-r.gone:
						return
					}
					if _, err := r.client.Write(ping); err != nil {
						return
					}
				}
			}()
			r.client.told(CloseGoingAway)
			for {
				g, err := r.upstream.frame()
				if err != nil {
					t.Fatalf("the upstream was not told: %v", err)
				}
				if g.op == opClose {
					break
				}
			}
			r.upstream.answers()
			_ = r.client.Close()
			r.over(wait)
			<-gone
			if said == 0 {
				t.Error("the client said nothing")
			}
		})
	}
}

// TestMaxAge: a connection that is too old ends between two frames, however busy it is.
func TestMaxAge(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := startRig(t, kind, Options{times: brisk, MaxAge: 500 * time.Millisecond})
			for {
				r.upstream.say("tick")
				g, err := r.client.frame()
				if err != nil {
					t.Fatalf("ended without a close frame: %v", err)
				}
				if g.op == opClose {
					break
				}
			}
			r.upstream.told(CloseGoingAway)
			r.upstream.answers()
			_ = r.client.Close()
			r.over(wait)
		})
	}
}

// TestAgeHoldsNothing: a relay that has ended is not kept until it would have been too old.
func TestAgeHoldsNothing(t *testing.T) {
	t.Parallel()
	r := startRig(t, "tcp", Options{times: brisk, MaxAge: time.Hour})
	r.client.leaves()
	r.upstream.leaves()
	r.over(patience)
	freed := make(chan struct{})
	runtime.AddCleanup(r.Relay, func(freed chan struct{}) { close(freed) }, freed)
	r.Relay = nil
	eventually(t, "the relay to be freed", func() bool {
		runtime.GC()
		select {
		case <-freed:
			return true
		default:
			return false
		}
	})
}

// TestWriteUp: an upstream that takes nothing for as long as was configured is left, and the client is told.
func TestWriteUp(t *testing.T) {
	t.Parallel()
	r := startRig(t, "tcp", Options{times: brisk, WriteUp: time.Second})
	go func() {
		one := frame(fin, opBinary, true, random(100_000))
		for err := error(nil); err == nil; {
			_ = r.client.SetWriteDeadline(time.Now().Add(patience))
			_, err = r.client.Write(one)
		}
	}()
	r.client.told(CloseGoingAway)
	_ = r.client.Close()
	r.over(wait)
}
