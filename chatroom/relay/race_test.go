package relay

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// watched notices a use of a connection that is over: a stream of HTTP/2 or 3 is another request's by then.
type watched struct {
	Conn
	t      testing.TB
	closed atomic.Bool
}

func (w *watched) look(what string) {
	if w.closed.Load() {
		w.t.Errorf("%s after Close", what)
	}
}

func (w *watched) Read(b []byte) (int, error)  { w.look("Read"); return w.Conn.Read(b) }
func (w *watched) Write(b []byte) (int, error) { w.look("Write"); return w.Conn.Write(b) }
func (w *watched) CloseWrite() error           { w.look("CloseWrite"); return w.Conn.CloseWrite() }
func (w *watched) SetReadDeadline(t time.Time) error {
	w.look("SetReadDeadline")
	return w.Conn.SetReadDeadline(t)
}

func (w *watched) SetWriteDeadline(t time.Time) error {
	w.look("SetWriteDeadline")
	return w.Conn.SetWriteDeadline(t)
}

func (w *watched) Close() error {
	if w.closed.Swap(true) {
		w.t.Error("closed twice")
	}
	return w.Conn.Close()
}

// TestEverythingAtOnce lets every way to end a connection race every other.
func TestEverythingAtOnce(t *testing.T) {
	rounds := map[string]int{"tcp": 150, "tls": 60, "unix": 50, "wrapped": 250}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			var all sync.WaitGroup
			var rigs []*rig
			for round := range rounds[kind] {
				r := newRig(t, kind, kind, Options{ReadOnly: round%3 == 0, Framing: Frames{MaxMessage: 1000}, times: brief}, nil, text(bare, "welcome"))
				if kind == "wrapped" {
					r.toUp.src, r.toUp.dst = &watched{Conn: r.toUp.src, t: t}, &watched{Conn: r.toUp.dst, t: t}
					r.toDn.src, r.toDn.dst = r.toUp.dst, r.toUp.src
				}
				acts := []func(){
					r.Start,
					func() { r.End(authcore.EndSession) },
					func() { r.End(authcore.EndShutdown) },
					func() { _, _ = r.client.Write(text(masked, "hello")) },
					func() { _, _ = r.client.Write(header(fin, opText, masked, 1001)) },
					func() { _, _ = r.client.Write(text(masked, "torn")[:7]) },
					func() { _, _ = r.upstream.Write(text(bare, "torn")[:3]) },
					func() { _, _ = r.upstream.Write(frame(fin, opClose, bare, nil)) },
					func() { _, _ = r.upstream.Write(frame(fin, opText, masked, nil)) },
					func() { _ = r.client.CloseWrite() },
					func() { _ = r.upstream.CloseWrite() },
				}
				if round%5 == 0 {
					acts[0] = func() { r.Run() }
				}
				// Both in the end go: politely, at once, or with a reset.
				leave := func(p *peer) func() {
					switch rand.IntN(3) {
					case 0:
						return func() { _ = p.Close() }
					case 1:
						if kind != "unix" {
							return p.reset
						}
					}
					return p.drain
				}
				acts = append(acts, leave(r.client), leave(r.upstream))
				gone := rand.IntN(len(acts)-3) + 1 // one of the others stays away, so that they do not mask one another
				acts = append(acts[:gone], acts[gone+1:]...)
				rand.Shuffle(len(acts), func(i, j int) { acts[i], acts[j] = acts[j], acts[i] })
				for _, act := range acts {
					all.Go(act)
				}
				if rigs = append(rigs, r); len(rigs) < 50 && round < rounds[kind]-1 {
					continue
				}
				all.Wait()
				for _, r := range rigs {
					r.over(patience)
					r.End(authcore.EndToken) // too late, and harmless
				}
				rigs = nil
			}
		})
	}
}

// TestEndRacesTheEnd looks for a close that still touches what its connection left behind.
func TestEndRacesTheEnd(t *testing.T) {
	for round := range 300 {
		r := newRig(t, "tcp", "tcp", Options{}, nil, nil)
		var returned atomic.Bool
		down := &watched{Conn: r.toUp.src, t: t}
		up := &watched{Conn: r.toUp.dst, t: t}
		r.toUp.src, r.toDn.dst, r.toUp.dst, r.toDn.src = down, down, up, up
		var all sync.WaitGroup
		all.Go(func() {
			r.Run()
			returned.Store(true)
			if !down.closed.Load() || !up.closed.Load() || r.closes.Load() != 1 {
				t.Errorf("round %d: Run returned before the end", round)
			}
		})
		all.Go(func() { r.client.send(frame(fin, opClose, masked, nil)); _ = r.client.CloseWrite(); r.client.drain() })
		all.Go(func() {
			r.upstream.send(frame(fin, opClose, bare, nil))
			_ = r.upstream.CloseWrite()
			r.upstream.drain()
		})
		for range 3 {
			all.Go(func() {
				for range rand.IntN(2000) {
					_ = r.closes.Load()
				}
				r.End(authcore.EndSession)
			})
		}
		all.Wait()
		if !returned.Load() {
			t.Fatal(fmt.Sprint("round ", round, ": Run did not return"))
		}
	}
}
