package relay

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

func TestEndCodes(t *testing.T) {
	for _, kind := range kinds {
		for _, tc := range []struct {
			cause    authcore.EndCause
			down, up CloseCode
		}{
			{authcore.EndSession, 4401, 1001},
			{authcore.EndToken, 4408, 1001},
			{authcore.EndShutdown, 1012, 1012},
		} {
			t.Run(fmt.Sprint(kind, tc.down), func(t *testing.T) {
				r := startRig(t, kind, Options{times: unhurried})
				r.client.say("hello")
				r.upstream.hears("hello")
				r.End(tc.cause)
				r.client.told(tc.down)
				r.End(authcore.EndShutdown) // may come again; counts no more
				r.upstream.told(tc.up)
				r.client.answers()
				r.upstream.answers()
				r.over(patience) // at once, not when the wait is over
			})
		}
	}
}

func TestEndOfSilentPeers(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := startRig(t, kind, Options{times: brisk})
			r.End(authcore.EndSession)
			r.client.told(CloseSession)
			r.upstream.told(CloseGoingAway)
			r.over(wait) // neither answers
			r.client.ended()
			r.upstream.ended()
		})
	}
}

// TestEndInsideFrame: the frame under way comes to its end, then the close frame, and not a byte of what is behind it.
func TestEndInsideFrame(t *testing.T) {
	for _, kind := range kinds {
		for _, dir := range []string{"to the client", "to the upstream"} {
			t.Run(kind+" "+dir, func(t *testing.T) {
				r := startRig(t, kind, Options{})
				from, to, p := r.upstream, r.client, &r.toDn
				codeFrom, codeTo := CloseGoingAway, CloseSession
				if dir == "to the upstream" {
					from, to, p = r.client, r.upstream, &r.toUp
					codeFrom, codeTo = codeTo, codeFrom
				}
				whole := frame(fin, opBinary, from.mask, random(70_000))
				from.send(whole[:100])
				r.inside(p)
				r.End(authcore.EndSession)
				from.told(codeFrom)
				r.awaits(p)
				from.send(whole[100:], text(from.mask, "another"), whole[:50])
				to.takes(opBinary, random(70_000))
				to.told(codeTo)
				from.send(whole[50:])
				to.answers()
				from.answers()
				r.over(patience)
			})
		}
	}
}

// TestEndInsideCloseFrame: behind a peer's close frame there is no room for ours.
func TestEndInsideCloseFrame(t *testing.T) {
	r := startRig(t, "tcp", Options{})
	bye := frame(fin, opClose, bare, []byte("\x03\xE8bye"))
	r.upstream.send(bye[:3])
	r.inside(&r.toDn)
	r.End(authcore.EndSession)
	r.upstream.told(CloseGoingAway)
	r.awaits(&r.toDn)
	r.upstream.send(bye[3:])
	r.client.takes(opClose, bye[2:])
	r.client.answers()
	_ = r.upstream.Close()
	r.over(patience)
}

func TestEndInsideFrameThatNeverEnds(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := startRig(t, kind, Options{times: brisk})
			r.upstream.send(header(fin, opBinary, bare, 1000), []byte("begun"))
			r.client.send(header(fin, opBinary, masked, 1000), []byte("begun"))
			r.inside(&r.toDn)
			r.inside(&r.toUp)
			r.End(authcore.EndSession)
			for _, p := range []*peer{r.client, r.upstream} {
				_ = p.SetReadDeadline(time.Now().Add(patience))
				b, err := io.ReadAll(p.br)
				if err != nil || !bytes.HasSuffix(b, []byte("begun")) {
					t.Errorf("%s: % x, %v", p.name, b, err)
				}
			}
			r.over(wait)
		})
	}
}

func TestEndWhilePeerDoesNotRead(t *testing.T) {
	t.Parallel()
	long := defaultTimes
	long.flush = 3 * time.Second // for who is not deaf to be told meanwhile
	long.close = brisk.close
	for _, kind := range kinds {
		for _, deaf := range []string{"client", "upstream"} {
			t.Run(kind+" "+deaf, func(t *testing.T) {
				t.Parallel()
				r := startRig(t, kind, Options{times: &long})
				speaker, code := r.client, CloseSession
				if deaf == "client" {
					speaker, code = r.upstream, CloseGoingAway
				}
				speaker.clog(frame(fin, opBinary, speaker.mask, random(100_000)))
				start := time.Now()
				r.End(authcore.EndSession)
				speaker.told(code)
				if d := time.Since(start); d > long.flush {
					t.Errorf("told after %v", d)
				}
				speaker.ended()
				r.over(long.flush + long.close + patience)
				if d := time.Since(start); d < long.close {
					t.Errorf("the speaker had %v to answer", d)
				}
			})
		}
	}
}

// TestGoodbyesEnd: after both close frames somebody should hang up, and if nobody does, we do.
func TestGoodbyesEnd(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := startRig(t, kind, Options{times: brisk})
			r.client.send(CloseFrame(CloseGoingAway, masked))
			r.upstream.takes(opClose, CloseFrame(CloseGoingAway, bare)[2:])
			r.upstream.send(CloseFrame(CloseGoingAway, bare))
			r.client.told(CloseGoingAway)
			within(t, brisk.linger+2*time.Second, "the end", r.gone)
		})
	}
}

func TestLingerEnds(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := startRig(t, kind, Options{times: brisk})
			_ = r.client.CloseWrite()
			r.upstream.ended()
			d := within(t, brisk.linger+2*time.Second, "the end", r.gone) // the upstream does not react
			if d < brisk.linger/2 {
				t.Errorf("it had only %v", d)
			}
		})
	}
}

func TestEndBeforeStart(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t, kind, kind, Options{}, nil, nil)
			r.End(authcore.EndSession)
			r.End(authcore.EndShutdown)
			r.Start()
			g, err := r.client.frame() // which of the two was first is open
			if err != nil || g.op != opClose {
				t.Fatal(g, err)
			}
			r.client.answers()
			if g, err := r.upstream.frame(); err != nil || g.op != opClose {
				t.Fatal(g, err)
			}
			r.upstream.answers()
			r.over(patience)
		})
	}
}

func TestAbandon(t *testing.T) {
	for name, use := range map[string]func(*rig){
		"at once":   func(r *rig) { r.Abandon() },
		"ended":     func(r *rig) { r.End(authcore.EndSession); r.End(authcore.EndToken); r.Abandon() },
		"and ended": func(r *rig) { r.Abandon(); r.End(authcore.EndSession); r.End(authcore.EndToken) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "tcp", "tcp", Options{}, nil, nil)
			use(r)
			r.over(patience)
			r.client.ended()
			r.upstream.ended()
		})
		t.Run(name+", without a client", func(t *testing.T) {
			upstream, up := connect(t, "tcp")
			r := &rig{t: t, gone: make(chan struct{}), upstream: &peer{Conn: upstream, t: t, br: bufio.NewReader(upstream)}}
			r.Relay = New(up, nil, Options{OnClose: r.onClose(nil)})
			use(r)
			r.over(patience)
			r.upstream.ended()
		})
	}
}

func TestRunReturnsAtTheEnd(t *testing.T) {
	r := newRig(t, "tcp", "tcp", Options{}, nil, nil)
	returned := make(chan struct{})
	go func() { r.Run(); close(returned) }()
	r.client.say("hello")
	r.upstream.hears("hello")
	select {
	case <-returned:
		t.Fatal("too early")
	default:
	}
	r.client.leaves()
	r.upstream.leaves()
	within(t, patience, "Run", returned)
	r.over(0 + time.Millisecond)
}
