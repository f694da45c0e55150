package relay

import (
	"bytes"
	"io"
	"math/rand/v2"
	"sync"
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
			r.upstream.told(CloseGoingAway)
			heard := make(map[byte]string)
			for heard[opClose] == "" { // in which order they come is open, and "welcome" may come too late
				g, err := r.client.frame()
				if err != nil {
					t.Fatal(g, err)
				}
				heard[g.op] = string(g.payload)
			}
			if heard[opPong] != "?" || heard[opText] != "" && heard[opText] != "welcome" || heard[opClose] != string(CloseFrame(ClosePolicy, false)[2:]) {
				t.Fatal(heard)
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
