package relay

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// testFilter drops what begins with "x", line by line, and answers "no\n" to each. Its first line is always returned apart.
type testFilter struct{ held []byte }

func (f *testFilter) Judge(b []byte) (first, rest, say []byte) {
	all := append(f.held, b...)
	f.held = nil
	out := b[:0]
	for {
		line, after, ok := bytes.Cut(all, []byte("\n"))
		if !ok {
			f.held = bytes.Clone(all)
			return first, out, say
		}
		switch {
		case bytes.HasPrefix(line, []byte("x")):
			say = append(say, "no\n"...)
		case first == nil:
			first = append(bytes.Clone(line), '\n')
		default:
			out = append(append(out, line...), '\n')
		}
		all = after
	}
}

func (*testFilter) Farewell(code CloseCode) (up, down []byte) {
	return []byte("quit\n"), []byte("bye " + code.Reason() + "\n")
}

func filtered() Options { return Options{Framing: Lines{Filter: new(testFilter)}} }

func TestFilter(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t, kind, kind, filtered(), []byte("early\nbegun"), []byte("hello\nand"))
			r.Start()
			r.client.takesBytes([]byte("hello\nand"))
			r.upstream.takesBytes([]byte("early\n"))
			r.client.write([]byte(" here\nx 1\nx 2\na\nb\n"))
			r.upstream.takesBytes([]byte("begun here\na\nb\n"))
			r.upstream.write([]byte(" more")) // the answers wait for the end of this line
			r.client.takesBytes([]byte(" more"))
			r.upstream.write([]byte(" of it\nand "))
			r.client.takesBytes([]byte(" of it\nno\nno\nand "))
			r.client.write([]byte("x 3\nc\n"))
			r.upstream.takesBytes([]byte("c\n"))
			r.upstream.write([]byte("so on\n"))
			r.client.takesBytes([]byte("so on\nno\n"))
			r.client.write([]byte("x 4\n"))
			r.client.takesBytes([]byte("no\n"))
			_ = r.client.CloseWrite()
			r.upstream.finished()
			r.upstream.write([]byte("end"))
			r.client.takesBytes([]byte("end"))
			_ = r.upstream.Close()
			r.client.finished()
			_ = r.client.Close()
			r.over(patience)
		})
	}
}

// What is answered stands between lines, whatever the upstream says at the same time.
func TestFilterBetweenLines(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			const n = 2000
			r := startRig(t, kind, filtered())
			line := strings.Repeat("y", 300) + "\n"
			var all sync.WaitGroup
			var sent int
			heard := make(chan struct{}) // by the upstream, all of it
			all.Go(func() {
				for open := true; open; sent++ { // in pieces that end anywhere
					r.upstream.write([]byte(line[:sent%300]))
					r.upstream.write([]byte(line[sent%300:]))
					select {
					case <-heard:
						open = false
					default:
					}
				}
				_ = r.upstream.CloseWrite()
			})
			all.Go(func() {
				for range n {
					r.client.write([]byte("x\nz\n"))
				}
			})
			all.Go(func() {
				defer close(heard)
				r.upstream.takesBytes(bytes.Repeat([]byte("z\n"), n))
			})
			_ = r.client.SetReadDeadline(time.Now().Add(3 * patience))
			lines, answers := 0, 0
			for {
				text, err := r.client.br.ReadString('\n')
				if err != nil {
					break
				}
				switch text {
				case line:
					lines++
				case "no\n":
					answers++
				default:
					t.Fatalf("got %q", text)
				}
			}
			all.Wait()
			if lines != sent || answers == 0 {
				t.Errorf("%d lines, %d answers", lines, answers)
			}
			_ = r.client.Close()
			_ = r.upstream.Close()
			r.over(patience)
		})
	}
}

func TestFilterFarewell(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			for _, inside := range []bool{false, true} {
				r := startRig(t, kind, filtered())
				said := "hello\n"
				if inside {
					said += "and"
				}
				r.upstream.write([]byte(said))
				r.client.takesBytes([]byte(said))
				r.client.write([]byte("a\nhalf"))
				r.upstream.takesBytes([]byte("a\n"))
				r.End(authcore.EndSession)
				r.End(authcore.EndSession)
				if !inside { // not in the middle of a line
					r.client.takesBytes([]byte("bye session over\n"))
				}
				r.client.finished()
				r.upstream.takesBytes([]byte("quit\n"))
				r.upstream.finished()
				r.client.write([]byte(" a line\nb\n")) // nobody hears it
				_ = r.client.Close()
				_ = r.upstream.Close()
				r.over(patience)
			}
		})
	}
}

// Neither a peer that takes nothing nor one that does not hang up holds up the end.
func TestFilterFarewellOfClogged(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := startRig(t, kind, filtered())
			r.upstream.clog(bytes.Repeat([]byte("y\n"), 1<<15))
			start := time.Now()
			r.End(authcore.EndSession)
			_ = r.upstream.SetReadDeadline(time.Now().Add(patience))
			if b, _ := io.ReadAll(r.upstream.br); string(b) != "quit\n" {
				t.Errorf("the upstream got %q", b)
			}
			r.over(patience)
			if d := time.Since(start); d > defaultTimes.write/2 {
				t.Errorf("that took %v", d)
			}
		})
	}
}

// A client that is told much and reads nothing does not fill the memory.
func TestFilterSaysNoEnd(t *testing.T) {
	r := startRig(t, "tcp", filtered())
	r.upstream.write([]byte("a line that does not end"))
	r.client.takesBytes([]byte("a line that does not end"))
	for range 20 {
		r.client.write(bytes.Repeat([]byte("x\n"), 1000))
	}
	r.client.write([]byte("z\n"))
	r.upstream.takesBytes([]byte("z\n"))
	r.toDn.mu.Lock()
	n := len(r.framing.(*lineStream).words)
	r.toDn.mu.Unlock()
	if n == 0 || n > maxWords {
		t.Errorf("%d bytes wait", n)
	}
	_ = r.client.Close()
	_ = r.upstream.Close()
	r.over(patience)
}
