package relay

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

func TestEveryByteArrives(t *testing.T) {
	sizes := []int{0, 1, 125, 126, 65535, 65536, 1 << 20, 5 << 20}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			r := startRig(t, kind, Options{})
			stream := func(mask bool) []byte {
				var b []byte
				for _, n := range sizes {
					b = append(b, frame(fin, opBinary, mask, random(n))...)
					b = append(b, frame(more, opText, mask, []byte("frag"))...)
					b = append(b, frame(fin, opPing, mask, []byte("?"))...)
					b = append(b, frame(fin, opContinuation, mask, []byte("ment"))...)
				}
				return b
			}
			var all sync.WaitGroup
			one := func(from, to *peer) {
				want := stream(from.mask)
				all.Go(func() { from.send(want) })
				all.Go(func() {
					got := make([]byte, len(want))
					_ = to.SetReadDeadline(time.Now().Add(3 * patience))
					if _, err := io.ReadFull(to.br, got); err != nil || !bytes.Equal(got, want) {
						t.Errorf("%s: %v, or other bytes", to.name, err)
					}
				})
			}
			one(r.client, r.upstream)
			one(r.upstream, r.client)
			all.Wait()
			r.client.leaves()
			r.upstream.takes(opClose, []byte{3, 233})
			r.upstream.leaves()
			r.over(patience)
		})
	}
}

func TestOddPieces(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			r := startRig(t, kind, Options{})
			want := join(text(masked, "one"), frame(fin, opBinary, masked, random(70000)), text(masked, ""), text(masked, "two"))
			go func() {
				for rest := want; len(rest) > 0; {
					n := min(1+rand.IntN(3), len(rest)) // every header in pieces
					if len(rest) > 1000 && len(rest) < len(want)-1000 {
						n = 700
					}
					r.client.send(rest[:n])
					rest = rest[n:]
				}
			}()
			r.upstream.hears("one")
			r.upstream.takes(opBinary, random(70000))
			r.upstream.hears("")
			r.upstream.hears("two")
			r.End(authcore.EndSession)
			r.client.told(CloseSession)
			r.upstream.told(CloseGoingAway)
			r.client.answers()
			r.upstream.answers()
			r.over(patience)
		})
	}
}

func TestEarlyBytes(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			big := random(100_000)
			down := join(text(masked, "early"), frame(fin, opBinary, masked, big))
			up := join(text(bare, "welcome"), frame(fin, opBinary, bare, big))
			for _, cut := range []int{11, 12, 14, 20, 24, 25, 26, 40_000, len(down)} { // most of them in the second header
				cutUp := min(cut, len(up))
				r := newRig(t, kind, kind, Options{}, down[:cut], up[:cutUp])
				r.Start()
				r.client.send(down[cut:])
				r.upstream.send(up[cutUp:])
				r.upstream.hears("early")
				r.upstream.takes(opBinary, big)
				r.client.hears("welcome")
				r.client.takes(opBinary, big)
				r.client.leaves()
				r.upstream.leaves()
				r.over(patience)
			}
		})
	}
}

func TestEarlyViolation(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			early := join(frame(fin, opPing, masked, []byte("?")), text(masked, "let me write"))
			r := newRig(t, kind, kind, Options{ReadOnly: true}, early, text(bare, "welcome"))
			r.Start()
			r.upstream.takes(opPing, []byte("?"))
			r.upstream.told(CloseGoingAway)
			if g, err := r.client.frame(); err != nil || g.op == opText && string(g.payload) != "welcome" {
				t.Fatal(g, err)
			} else if g.op == opText { // which of the two comes first is open
				r.client.told(ClosePolicy)
			}
			r.client.answers()
			r.upstream.answers()
			r.over(patience)
		})
	}
}

func TestVisitorIsReadOnly(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string][]byte{
		"text":              text(masked, "x"),
		"binary":            frame(fin, opBinary, masked, []byte("x")),
		"empty":             text(masked, ""),
		"fragment":          frame(more, opText, masked, []byte("x")),
		"continuation":      frame(fin, opContinuation, masked, []byte("x")),
		"compressed":        append([]byte{0xC1, 0x81, 1, 2, 3, 4}, 'x'),
		"big":               frame(fin, opBinary, masked, random(100_000)),
		"only a first byte": {0x82},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startRig(t, "tcp", Options{ReadOnly: true})
			r.upstream.say("news")
			r.client.hears("news")
			r.client.send(frame(fin, opPong, masked, []byte("alive")), bad)
			r.upstream.takes(opPong, []byte("alive"))
			r.upstream.told(CloseGoingAway)
			r.client.told(ClosePolicy)
			r.client.answers()
			r.upstream.answers()
			r.over(patience)
		})
	}
}

func TestMessageLimit(t *testing.T) {
	for _, from := range []string{"client", "upstream"} {
		t.Run(from, func(t *testing.T) {
			for _, tc := range []struct {
				length uint64
				code   CloseCode
			}{{11, CloseTooBig}, {1 << 31, CloseTooBig}, {1<<63 - 1, CloseTooBig}, {1 << 63, CloseProtocol}, {1<<64 - 1, CloseProtocol}} {
				r := startRig(t, "tcp", Options{Framing: Frames{MaxMessage: 10}})
				a, b, toB := r.client, r.upstream, CloseGoingAway
				if from == "upstream" { // then it is no fault of the client's
					a, b, toB = b, a, CloseUpstream
				}
				a.send(text(a.mask, "0123456789"), header(fin, opText, a.mask, tc.length)) // and then nothing
				b.hears("0123456789")
				b.told(toB)
				a.told(tc.code)
				_ = a.Close() // its frame will not end
				b.answers()
				r.over(patience)
			}
		})
	}
}

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

// TestEndOfStream: a peer that sends without pause, so that one frame is always under way, does not keep the close
// frame from going out.
func TestEndOfStream(t *testing.T) {
	quick := defaultTimes
	quick.close = brief.close // neither peer answers
	for _, kind := range kinds {
		for _, size := range []int{3, 1000, 40_000} {
			for _, dir := range []string{"to the client", "to the upstream"} {
				t.Run(fmt.Sprint(kind, " ", size, " ", dir), func(t *testing.T) {
					r := startRig(t, kind, Options{times: &quick})
					from, to, code := r.upstream, r.client, CloseSession
					if dir == "to the upstream" {
						from, to, code = r.client, r.upstream, CloseGoingAway
					}
					seen, over := make(chan struct{}, 1000), make(chan struct{})
					one := frame(fin, opBinary, from.mask, random(size))
					var all sync.WaitGroup
					all.Go(func() {
						half := len(one) / 2
						_ = from.SetWriteDeadline(time.Now().Add(patience))
						_, err := from.Write(one[:half])
						for err == nil {
							_, err = from.Write(join(one[half:], one, one, one[:half]))
							for range 3 {
								select {
								case <-seen:
								case <-over:
									return
								}
							}
						}
					})
					for n := 0; ; n++ {
						if n == 20 {
							r.End(authcore.EndSession)
						}
						g, err := to.frame()
						if err == nil && g.op == opBinary && len(g.payload) == size {
							seen <- struct{}{}
							continue
						}
						if err != nil || g.op != opClose || !bytes.Equal(g.payload, CloseFrame(code, bare)[2:]) {
							t.Errorf("after %d frames: opcode %d, %.80q, %v", n, g.op, g.payload, err)
						}
						break
					}
					close(over)
					all.Wait()
					to.drain()
					from.drain()
					r.over(patience)
				})
			}
		}
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

// TestCloseFrameIsSeen: a client that keeps on sending, and looks up late, still finds the close frame. A connection
// closed with unread data in it would have been reset, and the frame lost.
func TestCloseFrameIsSeen(t *testing.T) {
	for _, kind := range kinds {
		for _, code := range []CloseCode{ClosePolicy, CloseSession} {
			t.Run(fmt.Sprint(kind, code), func(t *testing.T) {
				r := startRig(t, kind, Options{ReadOnly: code == ClosePolicy})
				var all sync.WaitGroup
				if code == CloseSession {
					all.Go(r.upstream.departs) // some of it may still arrive
					r.End(authcore.EndSession)
				}
				many := bytes.Repeat(text(masked, "I will not be silenced"), 2000)
				for range 100 {
					r.client.send(many)
				}
				r.client.told(code)
				r.client.answers()
				if code == ClosePolicy {
					r.upstream.told(CloseGoingAway)
					r.upstream.answers()
				}
				all.Wait()
				r.over(patience)
			})
		}
	}
}

func TestCloseHandshakePasses(t *testing.T) {
	for _, kind := range kinds {
		for _, first := range []string{"client", "upstream"} {
			t.Run(kind+" "+first, func(t *testing.T) {
				r := startRig(t, kind, Options{ReadOnly: true})
				a, b := r.client, r.upstream
				if first == "upstream" {
					a, b = b, a
				}
				bye := []byte("\x0F\xA0so long")
				a.send(frame(fin, opClose, a.mask, bye))
				b.takes(opClose, bye)
				b.send(frame(fin, opClose, b.mask, bye))
				a.takes(opClose, bye)
				_ = r.upstream.Close() // RFC 6455, section 7.1.1: the server closes first
				r.client.ended()
				_ = r.client.Close()
				r.over(defaultTimes.look / 2)
			})
		}
	}
}

func TestUpstreamLeavesWithoutAWord(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			r := startRig(t, kind, Options{})
			r.client.say("hello")
			r.upstream.hears("hello")
			_ = r.upstream.Close()
			r.client.told(CloseGoingAway)
			r.client.answers()
			r.over(patience)
		})
	}
}

func TestUpstreamBreaks(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"tcp", "tls", "wrapped"} {
		t.Run(kind+" between frames", func(t *testing.T) {
			t.Parallel()
			r := startRig(t, kind, Options{})
			r.upstream.say("hello")
			r.client.hears("hello")
			r.upstream.reset()
			r.client.told(CloseGoingAway)
			r.client.answers()
			r.over(patience)
		})
		t.Run(kind+" inside a frame", func(t *testing.T) {
			t.Parallel()
			r := startRig(t, kind, Options{})
			r.upstream.send(header(fin, opBinary, bare, 1000), []byte("begun"))
			r.inside(&r.toDn)
			r.upstream.reset()
			_ = r.client.SetReadDeadline(time.Now().Add(patience))
			b, err := io.ReadAll(r.client.br)
			if err != nil || !bytes.HasSuffix(b, []byte("begun")) {
				t.Errorf("the client got % x, %v", b, err)
			}
			_ = r.client.Close()
			r.over(patience)
		})
	}
}

// brokenUp is an upstream that has said its last and takes nothing more; which of the two is found first is set.
type brokenUp struct {
	Conn
	wrote chan struct{}
	once  sync.Once
	err   error
	last  io.Reader
}

func (b *brokenUp) Write([]byte) (int, error) {
	b.once.Do(func() { close(b.wrote) })
	return 0, b.err
}

func (b *brokenUp) Read(p []byte) (int, error) {
	<-b.wrote
	if b.last != nil {
		return b.last.Read(p)
	}
	return b.Conn.Read(p)
}

// TestLastWordOfUpstream: what an upstream said before it went arrives, even if the client talks into its leaving.
func TestLastWordOfUpstream(t *testing.T) {
	t.Parallel()
	broken := func(err error, last io.Reader) *rig {
		client, down := connect(t, "tcp")
		_, up := connect(t, "tcp")
		r := &rig{t: t, gone: make(chan struct{}), client: &peer{Conn: client, t: t, name: "client", br: bufio.NewReader(client), mask: true}}
		r.Relay = New(&brokenUp{Conn: up, wrote: make(chan struct{}), err: err, last: last}, nil, Options{OnClose: r.onClose(nil)})
		r.SetDownstream(down, nil)
		r.Start()
		r.client.say("are you there")
		return r
	}
	t.Run("a close frame", func(t *testing.T) {
		t.Parallel()
		r := broken(syscall.EPIPE, bytes.NewReader(CloseFrame(CloseTooMany, bare)))
		r.client.told(CloseTooMany)
		r.client.answers()
		r.over(patience)
	})
	t.Run("nothing", func(t *testing.T) {
		t.Parallel()
		r := broken(syscall.ECONNRESET, bytes.NewReader(nil))
		r.client.told(CloseGoingAway)
		r.client.answers()
		r.over(patience)
	})
	t.Run("deaf for too long", func(t *testing.T) {
		t.Parallel()
		r := broken(os.ErrDeadlineExceeded, nil)
		r.client.told(CloseGoingAway)
		r.client.answers()
		r.over(closing)
	})
}

func TestClientBreaks(t *testing.T) {
	for _, kind := range []string{"tcp", "tls", "wrapped"} {
		t.Run(kind, func(t *testing.T) {
			r := startRig(t, kind, Options{})
			r.client.say("hello")
			r.upstream.hears("hello")
			r.client.reset()
			r.over(patience)
			r.upstream.drain()
		})
	}
}

// TestClientHalfCloses: the upstream sees the end, and what it still has to say arrives.
func TestClientHalfCloses(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			r := startRig(t, kind, Options{})
			r.client.say("hello")
			r.upstream.hears("hello")
			_ = r.client.CloseWrite()
			r.upstream.ended()
			for range 10 {
				r.upstream.send(frame(fin, opBinary, bare, random(100_000)))
				r.client.takes(opBinary, random(100_000))
			}
			_ = r.upstream.Close()
			r.client.ended() // it has left, so nobody tells it that the upstream did
			_ = r.client.Close()
			r.over(patience)
		})
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

// swallowEvents lets the poller see what has come, without reading it.
func swallowEvents(c Conn) {
	if raw := rawConn(c); raw != nil {
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_ = raw.Read(func(uintptr) bool { return false })
		_ = c.SetReadDeadline(time.Time{})
	}
}

// TestHiddenEnd: data and the end of the stream, both there before anybody reads, raise one event and are one short
// read; nothing announces the end.
func TestHiddenEnd(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind+" client", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, kind, kind, Options{times: brisk}, nil, nil)
			r.client.say("that was all")
			_ = r.client.CloseWrite()
			swallowEvents(r.toUp.src)
			r.Start()
			r.upstream.hears("that was all")
			r.upstream.ended()
			_ = r.upstream.Close()
			r.client.ended()
			_ = r.client.Close()
			r.over(patience)
		})
		t.Run(kind+" upstream", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, kind, kind, Options{times: brisk}, nil, nil)
			r.upstream.say("that was all")
			_ = r.upstream.CloseWrite()
			swallowEvents(r.toDn.src)
			r.Start()
			r.client.hears("that was all")
			r.client.told(CloseGoingAway)
			_ = r.client.Close()
			r.upstream.drain()
			r.over(patience)
		})
		t.Run(kind+" behind a close frame", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, kind, kind, Options{}, nil, nil)
			r.upstream.send(CloseFrame(CloseTooMany, bare))
			_ = r.upstream.CloseWrite()
			swallowEvents(r.toDn.src)
			start := time.Now()
			r.Start()
			r.client.told(CloseTooMany)
			if d := time.Since(start); d > defaultTimes.look/2 {
				t.Errorf("noticed after %v", d)
			}
			r.client.answers()
			r.upstream.drain()
			r.over(patience)
		})
	}
}

// TestQuietConnectionStays: the deadline that makes a pump look again ends nothing.
func TestQuietConnectionStays(t *testing.T) {
	t.Parallel()
	r := startRig(t, "tcp", Options{times: brisk})
	r.client.say("hello")
	r.upstream.hears("hello")
	select {
	case <-r.gone:
		t.Fatal("a quiet connection was ended")
	case <-time.After(brisk.look + time.Second):
	}
	r.client.say("still here")
	r.upstream.hears("still here")
	r.upstream.say("so am I")
	r.client.hears("so am I")
	r.client.leaves()
	r.upstream.leaves()
	r.over(patience)
}

func TestSlowReaderHoldsSenderUp(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			r := startRig(t, kind, Options{})
			payload := random(50_000)
			one := frame(fin, opBinary, bare, payload)
			before := heapInUse()
			sent := 0
			for rest := one; ; {
				_ = r.upstream.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
				n, err := r.upstream.Write(rest)
				sent += n
				if err != nil {
					break
				}
				if sent > 256<<20 {
					t.Fatal("nobody reads, and still it flows")
				}
			}
			if after := heapInUse(); after > before+1<<20 {
				t.Errorf("%d KiB grew to %d KiB", before>>10, after>>10)
			}
			for range sent / len(one) {
				r.client.takes(opBinary, payload)
			}
			r.client.reset()
			r.upstream.drain()
			r.over(patience)
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
