package relay

import (
	"bytes"
	"testing"

	"github.com/chatgate/chatgate/authcore"
)

// watches starts a relay of a visitor.
func watches(t *testing.T, kind string, times *times) *rig {
	return startRig(t, kind, Options{ReadOnly: true, times: times})
}

func TestVisitorsPings(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte("p"), maxControl)
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := watches(t, kind, unhurried)
			for _, payload := range [][]byte{nil, []byte("?"), long} {
				ping := frame(fin, opPing, masked, payload)
				r.client.send(ping)
				r.client.takes(opPong, payload)
				for _, b := range bytewise(ping) {
					r.client.send(b)
				}
				r.client.takes(opPong, payload)
			}
			// Only the last of several needs an answer.
			r.client.send(frame(fin, opPing, masked, []byte("one")), frame(fin, opPong, masked, long), frame(fin, opPing, masked, []byte("two")))
			for {
				g, err := r.client.frame()
				if err != nil || g.op != opPong {
					t.Fatal(g, err)
				}
				if string(g.payload) == "two" {
					break
				}
			}
			r.upstream.say("news")
			r.client.hears("news")
			r.client.leaves()
			r.upstream.takes(opClose, []byte{3, 233}) // the first that it hears
			r.upstream.leaves()
			r.over(patience)
		})
	}
}

// TestVisitorsPongs: as many reach the upstream as it has sent pings.
func TestVisitorsPongs(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := watches(t, kind, unhurried)
			unasked := func() { // and the ping behind it shows that it was seen
				r.client.send(frame(fin, opPong, masked, []byte("unasked")), frame(fin, opPing, masked, []byte("seen")))
				r.client.takes(opPong, []byte("seen"))
			}
			unasked()
			for _, payload := range []string{"", "a", "b"} {
				r.upstream.send(frame(fin, opPing, bare, []byte(payload)))
				r.client.takes(opPing, []byte(payload))
				for _, b := range bytewise(frame(fin, opPong, masked, []byte(payload))) {
					r.client.send(b)
				}
				r.upstream.takes(opPong, []byte(payload))
				unasked()
			}
			r.client.leaves()
			r.upstream.takes(opClose, []byte{3, 233})
			r.upstream.leaves()
			r.over(patience)
		})
	}
}

// TestPongBetweenFrames: our answer waits for the frame under way, and for no more than that.
func TestPongBetweenFrames(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := watches(t, kind, unhurried)
			long := text(bare, "one frame")
			r.upstream.send(frame(fin, opPing, bare, nil), long[:5])
			r.client.takes(opPing, nil)
			r.client.send(frame(fin, opPing, masked, []byte("?")), frame(fin, opPong, masked, nil))
			r.upstream.takes(opPong, nil) // so the ping was seen
			r.upstream.send(long[5:], text(bare, "another")[:4])
			r.client.hears("one frame")
			r.client.takes(opPong, []byte("?"))
			r.upstream.send(text(bare, "another")[4:])
			r.client.hears("another")
			r.client.leaves()
			r.upstream.leaves()
			r.over(patience)
		})
	}
}

func TestTooManyHeartbeats(t *testing.T) {
	t.Parallel()
	for name, op := range map[string]byte{"pings": opPing, "pongs": opPong} {
		for _, kind := range kinds {
			t.Run(name+" over "+kind, func(t *testing.T) {
				t.Parallel()
				r := watches(t, kind, nil)
				go func() {
					flood := bytes.Repeat(frame(fin, op, masked, []byte("p")), 10*heartbeats)
					_, _ = r.client.Write(flood)
				}()
				for answers := 0; ; answers++ {
					g, err := r.client.frame()
					if err == nil && g.op == opPong && op == opPing && answers <= 2*heartbeats {
						continue
					}
					if want := CloseFrame(ClosePolicy, false)[2:]; err != nil || g.op != opClose || !bytes.Equal(g.payload, want) {
						t.Fatalf("after %d answers: %+v, %v", answers, g, err)
					}
					break
				}
				r.upstream.told(CloseGoingAway)
				r.client.answers()
				r.upstream.answers()
				r.over(patience)
			})
		}
	}
}

// TestEndInsideAPing: the upstream has seen nothing of a ping that a visitor has not finished, so that it does not hold up the end.
func TestEndInsideAPing(t *testing.T) {
	t.Parallel()
	r := watches(t, "tcp", unhurried)
	ping := frame(fin, opPing, masked, []byte("unfinished"))
	r.upstream.send(frame(fin, opPing, bare, nil))
	r.client.takes(opPing, nil)
	r.client.send(frame(fin, opPong, masked, nil), ping[:9])
	r.upstream.takes(opPong, nil)
	r.End(authcore.EndShutdown)
	r.upstream.told(CloseRestart)
	r.client.told(CloseRestart)
	r.client.send(ping[9:])
	r.client.answers()
	r.upstream.answers()
	r.over(patience)
}
