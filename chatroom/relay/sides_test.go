package relay

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

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
