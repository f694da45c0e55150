package relay

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// takesBytes expects exactly these next.
func (p *peer) takesBytes(want []byte) {
	p.t.Helper()
	got := make([]byte, len(want))
	_ = p.SetReadDeadline(time.Now().Add(3 * patience))
	if n, err := io.ReadFull(p.br, got); err != nil || !bytes.Equal(got, want) {
		p.t.Fatalf("%s: got %d bytes, %v, that are not the %d sent", p.name, n, err, len(want))
	}
}

// finished expects the end of the stream, and nothing before it.
func (p *peer) finished() {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	if n, err := p.br.Read(make([]byte, 64)); n != 0 || !errors.Is(err, io.EOF) {
		p.t.Fatalf("%s: got %d bytes, %v; want the end", p.name, n, err)
	}
}

// cut expects the end of the connection, in whatever manner, and nothing before it.
func (p *peer) cut() {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	if b, err := io.ReadAll(p.br); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatalf("%s: got %q, %v; want the end", p.name, b, err)
	}
}

func (p *peer) write(b []byte) {
	_ = p.SetWriteDeadline(time.Now().Add(3 * patience))
	if _, err := p.Write(b); err != nil {
		p.t.Errorf("%s: %v", p.name, err)
	}
}

func TestRawEveryByteArrives(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			early, earlyUp := random(1000), []byte("early up")
			r := newRig(t, kind, kind, Options{Framing: Bytes{}}, early, earlyUp)
			r.Start()
			up, down := random(5<<20), random(3<<20)
			var all sync.WaitGroup
			all.Go(func() { r.client.write(up) })
			all.Go(func() { r.upstream.write(down) })
			all.Go(func() { r.upstream.takesBytes(append(early, up...)) })
			all.Go(func() { r.client.takesBytes(append(earlyUp, down...)) })
			all.Wait()
			_ = r.client.Close()
			_ = r.upstream.Close()
			r.over(patience)
		})
	}
}

// The end of a stream can hide in the same event as its last bytes; it is passed on at once nonetheless.
func TestRawHalfClose(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			for i, first := range []string{"client", "upstream", "client", "upstream"} {
				r := startRig(t, kind, Options{Framing: Bytes{}})
				a, b := r.client, r.upstream
				if first == "upstream" {
					a, b = b, a
				}
				for begin := clock(); i >= 2 && clock()-begin < 2*defaultTimes.lookBytes; { // what comes often is read in another way
					a.write([]byte("word"))
					b.takesBytes([]byte("word"))
				}
				a.write([]byte("my last words"))
				if err := a.CloseWrite(); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				b.takesBytes([]byte("my last words"))
				b.finished()
				if d := time.Since(start); d >= defaultTimes.look {
					t.Errorf("%s: the end took %v", first, d)
				}
				for range 3 {
					b.write([]byte("but I go on"))
					a.takesBytes([]byte("but I go on"))
				}
				if err := b.CloseWrite(); err != nil {
					t.Fatal(err)
				}
				a.finished()
				r.over(patience)
			}
		})
	}
}

func TestRawEnd(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			for _, cause := range []authcore.EndCause{authcore.EndSession, authcore.EndToken, authcore.EndShutdown} {
				r := startRig(t, kind, Options{Framing: Bytes{}})
				r.client.write([]byte("hello"))
				r.upstream.takesBytes([]byte("hello"))
				r.End(cause)
				r.End(cause)
				r.client.cut()
				r.upstream.cut()
				r.over(patience)
			}
		})
	}
}

// A peer that takes nothing does not hold up the end.
func TestRawEndOfClogged(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := startRig(t, kind, Options{Framing: Bytes{}})
			r.upstream.clog(random(1 << 16))
			start := time.Now()
			r.End(authcore.EndSession)
			r.over(patience)
			if d := time.Since(start); d > defaultTimes.write/2 {
				t.Errorf("that took %v", d)
			}
		})
	}
}

func TestRawReadOnly(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Run("dropped", func(t *testing.T) {
				r := newRig(t, kind, kind, Options{ReadOnly: true, Framing: Bytes{}}, []byte("early"), nil)
				r.Start()
				r.client.write(random(100_000))
				r.upstream.write([]byte("news"))
				r.client.takesBytes([]byte("news"))
				_ = r.client.CloseWrite()
				r.upstream.finished() // without a byte before
				_ = r.upstream.Close()
				r.over(patience)
			})
			t.Run("cut", func(t *testing.T) {
				r := startRig(t, kind, Options{ReadOnly: true, Framing: Bytes{CutWriters: true}})
				r.upstream.write([]byte("news"))
				r.client.takesBytes([]byte("news"))
				r.client.write([]byte("let me write"))
				r.client.cut()
				_ = r.upstream.SetReadDeadline(time.Now().Add(patience))
				if b, err := io.ReadAll(r.upstream.br); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("the upstream got %q, %v", b, err)
				}
				r.over(patience)
			})
			t.Run("cut early", func(t *testing.T) {
				r := newRig(t, kind, kind, Options{ReadOnly: true, Framing: Bytes{CutWriters: true}}, []byte("early"), nil)
				r.Start()
				r.client.cut()
				r.over(patience)
			})
		})
	}
}

func TestRawBrokenSides(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := startRig(t, kind, Options{Framing: Bytes{}})
			r.client.write([]byte("x"))
			r.upstream.takesBytes([]byte("x"))
			r.client.reset()
			r.upstream.cut()
			_ = r.upstream.Close() // of a unix socket, a reset is no more than its end
			r.over(patience)

			r = startRig(t, kind, Options{Framing: Bytes{}})
			r.upstream.write([]byte("last"))
			r.client.takesBytes([]byte("last"))
			r.upstream.reset()
			r.client.cut()
			_ = r.client.Close()
			r.over(patience)
		})
	}
}

func TestRawSilence(t *testing.T) {
	t.Parallel()
	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		const idle = 2 * time.Second
		r := startRig(t, "tcp", Options{Framing: Bytes{Idle: idle}})
		for range 5 { // for longer than that altogether
			r.client.write([]byte("x"))
			r.upstream.takesBytes([]byte("x"))
			time.Sleep(idle / 4)
		}
		start := time.Now()
		r.client.cut()
		r.upstream.cut()
		r.over(patience)
		if d := time.Since(start); d < idle/4 {
			t.Errorf("ended after %v", d)
		}
	})
	t.Run("half", func(t *testing.T) {
		t.Parallel()
		r := startRig(t, "tls", Options{Framing: Bytes{HalfIdle: 300 * time.Millisecond}})
		_ = r.upstream.CloseWrite()
		r.client.finished()
		r.upstream.cut()
		r.over(patience)
	})
	t.Run("dropped bytes are silence", func(t *testing.T) {
		t.Parallel()
		r := startRig(t, "tcp", Options{ReadOnly: true, Framing: Bytes{Idle: 300 * time.Millisecond}})
		stop := make(chan struct{})
		var writer sync.WaitGroup
		writer.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
					_, _ = r.client.Write([]byte("x"))
				}
			}
		})
		r.over(patience)
		close(stop)
		writer.Wait()
	})
}

func TestRawAbandoned(t *testing.T) {
	r := newRig(t, "tcp", "tcp", Options{Framing: Bytes{Idle: time.Hour}}, nil, nil)
	r.End(authcore.EndSession)
	r.Abandon()
	r.client.cut()
	r.upstream.cut()
	r.over(patience)
}

func TestRawRun(t *testing.T) {
	r := newRig(t, "tls", "tcp", Options{Framing: Bytes{Idle: time.Hour}}, nil, nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run()
	}()
	r.client.write([]byte("x"))
	r.upstream.takesBytes([]byte("x"))
	r.End(authcore.EndShutdown)
	within(t, patience, "Run", done)
	r.over(patience)
}
