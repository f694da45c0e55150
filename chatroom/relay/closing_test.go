package relay

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// TestCloseFrameComesFirst is for clients that watch for the end of the stream, and report 1006 if they see it before they
// have answered the close frame: whyever there is one, the end waits for the answer, and comes at once then.
func TestCloseFrameComesFirst(t *testing.T) {
	t.Parallel()
	ways := map[string]struct {
		o    Options
		act  func(*rig)
		code CloseCode
		up   CloseCode // what the upstream is told; 0: nothing
	}{
		"logout":                  {act: func(r *rig) { r.End(authcore.EndSession) }, code: CloseSession, up: CloseGoingAway},
		"expired":                 {act: func(r *rig) { r.End(authcore.EndToken) }, code: CloseExpired, up: CloseGoingAway},
		"shutdown":                {act: func(r *rig) { r.End(authcore.EndShutdown) }, code: CloseRestart, up: CloseRestart},
		"read-only":               {o: Options{ReadOnly: true}, act: func(r *rig) { r.client.say("let me write") }, code: ClosePolicy, up: CloseGoingAway},
		"too big":                 {o: Options{Framing: Frames{MaxMessage: 10}}, act: func(r *rig) { r.client.say("0123456789a") }, code: CloseTooBig, up: CloseGoingAway},
		"broken frame":            {act: func(r *rig) { r.client.send(frame(fin, 0x3, masked, []byte("x"))) }, code: CloseProtocol, up: CloseGoingAway},
		"unmasked":                {act: func(r *rig) { r.client.send(text(bare, "x")) }, code: CloseProtocol, up: CloseGoingAway},
		"upstream's broken frame": {act: func(r *rig) { r.upstream.send(frame(fin, 0x3, bare, []byte("x"))) }, code: CloseUpstream, up: CloseProtocol},
		"upstream too big":        {o: Options{Framing: Frames{MaxMessage: 10}}, act: func(r *rig) { r.upstream.say("0123456789a") }, code: CloseUpstream, up: CloseTooBig},
		"upstream gone":           {act: func(r *rig) { _ = r.upstream.Close() }, code: CloseGoingAway},
		"upstream broken":         {act: func(r *rig) { r.upstream.reset() }, code: CloseGoingAway},
		"upstream's close frame":  {act: func(r *rig) { r.upstream.send(CloseFrame(CloseTooMany, bare)) }, code: CloseTooMany},
		"upstream's close frame, and gone": {act: func(r *rig) {
			r.upstream.send(CloseFrame(CloseTooMany, bare))
			_ = r.upstream.Close()
		}, code: CloseTooMany},
		"upstream's close frame, and half-closed": {act: func(r *rig) {
			r.upstream.send(CloseFrame(CloseTooMany, bare))
			_ = r.upstream.CloseWrite()
		}, code: CloseTooMany},
	}
	for _, kind := range kinds {
		for name, way := range ways {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				way.o.times = unhurried
				r := startRig(t, kind, way.o)
				r.upstream.say("hello")
				r.client.hears("hello")
				way.act(r)
				r.client.told(way.code)
				if way.up != 0 {
					r.upstream.told(way.up)
				}
				r.client.waits()
				r.client.answers()
				if way.up != 0 {
					r.upstream.waits()
					r.upstream.answers()
				}
				_ = r.upstream.Close()
				r.over(patience)
			})
		}
	}
}

// TestUpstreamBreaksBehindItsCloseFrame: that is no reason to hurry the client, either.
func TestUpstreamBreaksBehindItsCloseFrame(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := startRig(t, kind, Options{times: unhurried})
			r.upstream.send(CloseFrame(CloseTooMany, bare))
			r.client.told(CloseTooMany)
			r.upstream.reset()
			r.client.waits()
			r.client.answers()
			r.over(patience)
		})
	}
}

// TestServerEndsFirst: an upstream that was told is to end its side itself (RFC 6455, section 7.1.1). It is not half-closed
// before, nor for ever waited for.
func TestServerEndsFirst(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := startRig(t, kind, Options{})
			r.End(authcore.EndSession)
			r.client.told(CloseSession)
			r.client.answers()
			r.upstream.told(CloseGoingAway)
			r.upstream.waits()
			r.upstream.send(frame(fin, opClose, bare, nil))
			r.upstream.waits()
			r.over(closing)
			r.upstream.ended()
		})
	}
}

// TestUpstreamIsWaitedFor: a client that says goodbye and goes does not end the upstream's side before the upstream has
// answered, even where it has been sent more than it took.
func TestUpstreamIsWaitedFor(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		for name, leave := range map[string]func(*peer){
			"closes":      func(p *peer) { _ = p.Close() },
			"half-closes": func(p *peer) { _ = p.CloseWrite() },
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				r := startRig(t, kind, Options{times: unhurried})
				r.client.send(frame(fin, opClose, masked, []byte{3, 232}))
				leave(r.client)
				r.upstream.takes(opClose, []byte{3, 232})
				r.upstream.say("you may not have seen this")
				r.upstream.waits()
				r.upstream.answers()
				r.over(patience)
			})
		}
	}
}

// TestCloseFrameWithoutAnswer: who is passed a close frame has a while to answer it, whether who sent it stays or goes, and
// may say more before that; then it is over.
func TestCloseFrameWithoutAnswer(t *testing.T) {
	t.Parallel()
	short := *unhurried
	short.linger = 3 * time.Second // enough for the other side to be heard on a busy machine
	for _, kind := range kinds {
		for _, first := range []string{"client", "upstream"} {
			for _, then := range []string{"stays", "goes"} {
				t.Run(kind+" "+first+" "+then, func(t *testing.T) {
					t.Parallel()
					r := startRig(t, kind, Options{times: &short})
					a, b := r.client, r.upstream
					if first == "upstream" {
						a, b = b, a
					}
					start := time.Now()
					a.send(frame(fin, opClose, a.mask, []byte{3, 232}))
					b.takes(opClose, []byte{3, 232})
					if then == "goes" {
						_ = a.CloseWrite()
					}
					b.say("one moment")
					a.hears("one moment")
					r.over(patience)
					if d := time.Since(start); d < short.linger {
						t.Errorf("%s had only %v", b.name, d)
					}
				})
			}
		}
	}
}

// TestAnswerIsFound: the close frame of a peer is found wherever it is in what it still sends, and nothing of that arrives.
func TestAnswerIsFound(t *testing.T) {
	t.Parallel()
	bye := frame(fin, opClose, masked, []byte{3, 232})
	behind := join(text(masked, "late"), bye)
	for name, tc := range map[string]struct {
		o    Options
		sent []byte
		code CloseCode // 0: the end is ours
	}{
		"at once":                       {sent: bye},
		"without a code":                {sent: frame(fin, opClose, masked, nil)},
		"behind messages":               {sent: join(frame(fin, opBinary, masked, random(70_000)), behind)},
		"behind what breaks rules":      {sent: join(frame(fin, 0x3, bare, []byte("x")), frame(more, opContinuation, masked, nil), bye)},
		"with data behind it":           {sent: join(bye, random(100_000))},
		"behind what may not be":        {o: Options{ReadOnly: true}, sent: behind, code: ClosePolicy},
		"behind what is too big":        {o: Options{Framing: Frames{MaxMessage: 2}}, sent: behind, code: CloseTooBig},
		"behind a broken frame":         {sent: join(frame(fin, 0x3, masked, []byte("x")), behind), code: CloseProtocol},
		"with a broken frame behind":    {sent: join(bye, []byte{0xFF, 0xFF, 1, 2, 3})},
		"behind a broken control frame": {sent: join(frame(more, opPing, masked, nil), bye), code: CloseProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, kind := range kinds {
				for _, size := range []int{len(tc.sent), 1000, 3, 1} {
					if len(tc.sent)/size > 500 {
						continue
					}
					tc.o.times = unhurried
					r := startRig(t, kind, tc.o)
					code := tc.code
					if code == 0 {
						code = CloseSession
						r.End(authcore.EndSession)
						r.client.told(code)
					}
					for rest := tc.sent; len(rest) > 0; {
						n := min(size, len(rest))
						_ = r.client.SetWriteDeadline(time.Now().Add(patience))
						if _, err := r.client.Write(rest[:n]); err != nil {
							break // it had ended
						}
						rest = rest[n:]
					}
					if tc.code != 0 {
						r.client.told(code)
					}
					_ = r.client.CloseWrite()
					r.client.ended()
					r.upstream.told(CloseGoingAway)
					r.upstream.answers()
					r.over(patience)
				}
			}
		})
	}
}

// TestDataBehindCloseFrame: it is discarded, in either direction, and nobody is blamed (RFC 6455, section 1.4).
func TestDataBehindCloseFrame(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		for _, first := range []string{"client", "upstream"} {
			t.Run(kind+" "+first, func(t *testing.T) {
				t.Parallel()
				r := startRig(t, kind, Options{})
				a, b := r.client, r.upstream
				if first == "upstream" {
					a, b = b, a
				}
				bye := []byte("\x0F\xA0so long")
				a.send(frame(fin, opClose, a.mask, bye), text(a.mask, "late"), frame(fin, opPing, a.mask, nil), random(100_000))
				b.takes(opClose, bye)
				b.waits()
				b.send(frame(fin, opClose, b.mask, bye), text(b.mask, "later"))
				a.takes(opClose, bye)
				_ = r.upstream.Close()
				r.client.ended()
				_ = r.client.Close()
				r.over(patience)
			})
		}
	}
}

// TestClosePayloadPasses: what a close frame says is between the two ends, and so is the judgement of it. A relay that knew
// the codes of today would break the chats of tomorrow.
func TestClosePayloadPasses(t *testing.T) {
	for name, payload := range map[string]string{
		"nothing": "", "one byte": "\x03", "999": "\x03\xE7", "1005": "\x03\xED", "1014": "\x03\xF6", "2999": "\x0B\xB7", "65535": "\xFF\xFF",
		"not UTF-8": "\x03\xE8\xFF", "125 bytes": "\x03\xE8" + string(bytes.Repeat([]byte("x"), 123)),
	} {
		t.Run(name, func(t *testing.T) {
			r := startRig(t, "tcp", Options{})
			r.client.send(frame(fin, opClose, masked, []byte(payload)))
			r.upstream.takes(opClose, []byte(payload))
			r.upstream.send(frame(fin, opClose, bare, []byte(payload)))
			r.client.takes(opClose, []byte(payload))
			_ = r.upstream.Close()
			r.client.ended()
			_ = r.client.Close()
			r.over(patience)
		})
	}
}

// TestClosesCross: where both sides say goodbye at once, each hears one goodbye, and answers none.
func TestClosesCross(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			for range 50 {
				r := startRig(t, kind, Options{times: unhurried})
				var all sync.WaitGroup
				all.Go(func() { r.End(authcore.EndSession) })
				all.Go(func() { r.client.send(frame(fin, opClose, masked, []byte{3, 232})) })
				all.Go(func() { r.upstream.send(frame(fin, opClose, bare, []byte{3, 232})) })
				all.Wait()
				for _, p := range []*peer{r.upstream, r.client} {
					if g, err := p.frame(); err != nil || g.op != opClose {
						t.Fatalf("%s: %v, %v", p.name, g, err)
					}
					if p == r.upstream {
						_ = p.Close()
					}
				}
				r.client.ended()
				_ = r.client.Close()
				r.over(patience)
			}
		})
	}
}

// A peer that answers with a flood is heard out for a while, and costs no memory. It is alone while that is measured.
func TestFloodBehindOurClose(t *testing.T) {
	quick := defaultTimes
	quick.close = 500 * time.Millisecond
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			r := startRig(t, kind, Options{times: &quick})
			r.End(authcore.EndSession)
			r.client.told(CloseSession)
			r.upstream.told(CloseGoingAway)
			r.upstream.answers()
			many := frame(fin, opBinary, masked, random(1<<20))
			before := heapInUse()
			start := time.Now()
			for n := 1; ; n++ {
				_ = r.client.SetWriteDeadline(time.Now().Add(patience))
				if _, err := r.client.Write(many); err != nil {
					break
				}
				if n%64 == 0 {
					if after := heapInUse(); after > before+8<<20 { // it has sent 64 MiB
						t.Fatalf("%d KiB grew to %d KiB", before>>10, after>>10)
					}
				}
			}
			if d := time.Since(start); d > closing-defaultTimes.close+quick.close {
				t.Errorf("it was heard out for %v", d)
			}
			r.over(patience)
		})
	}
}
