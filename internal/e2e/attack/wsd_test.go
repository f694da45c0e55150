package attack

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// header is a masked frame header that announces a length of 64 bits.
func header(first byte, length uint64) []byte {
	b := binary.BigEndian.AppendUint64([]byte{first, 0xff}, length)
	return append(b, 1, 2, 3, 4)
}

func TestWSD01HugeLengths(t *testing.T) {
	c := theChat(t)
	for _, tc := range []struct {
		name   string
		path   string
		length uint64
		code   int
	}{
		{"2^62", "/x", 1 << 62, 1009},
		{"2^63-1", "/x", 1<<63 - 1, 1009},
		{"2^63", "/x", 1 << 63, 1002},
		{"2^64-1", "/x", 1<<64 - 1, 1002},
		{"2^31", "/x", 1 << 31, 1009},
		{"one over the default", "/x", 16<<20 + 1, 1009},
		{"one over the configured", "/small/x", 1025, 1009},
		{"2^63 where any size goes", "/unlimited/x", 1 << 63, 1002},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := c.up.count()
			r := gatetest.Dial(t, c.HTTP)
			r.Open(c.HTTP, tc.path, protocols(c.alice))
			r.Send(string(header(0x82, tc.length))) // and nothing of the payload
			r.ExpectClose(tc.code)
			assertFrames(t, c.up.visit(t, n), "close 1001")
		})
	}
}

func TestWSD01Memory(t *testing.T) {
	c := theChat(t)
	const conns = 100
	var socks []*gatetest.Raw
	for range conns {
		r := gatetest.Dial(t, c.HTTP)
		r.Open(c.HTTP, "/unlimited/x", protocols(c.alice))
		r.Echo("warm")
		socks = append(socks, r)
	}
	before := c.Usage().RSS
	for _, r := range socks {
		r.Send(string(header(0x82, 1<<62)) + strings.Repeat("x", 1000))
	}
	// By the time that others have had fifty answers, these have been read.
	n := c.up.count()
	r := gatetest.Dial(t, c.HTTP)
	r.Open(c.HTTP, "/x", protocols(c.alice))
	for range 50 {
		r.Echo("after")
	}
	c.up.visit(t, n)
	if grown := c.Usage().RSS - before; grown > 16<<20 {
		t.Errorf("%d announcements of 2^62 bytes took %d KiB", conns, grown>>10)
	}
}

func TestWSD02MessageLimit(t *testing.T) {
	c := theChat(t)
	open := func(t *testing.T) (*gatetest.Raw, *visit) {
		n := c.up.count()
		r := gatetest.Dial(t, c.HTTP)
		r.Open(c.HTTP, "/small/x", protocols(c.alice))
		return r, c.up.visit(t, n)
	}
	full := strings.Repeat("a", 1024)
	t.Run("just fits", func(t *testing.T) {
		r, v := open(t)
		r.Echo(full)
		r.Echo(full) // the next message counts anew
		assertFrames(t, v, "text "+full, "text "+full)
	})
	t.Run("one more", func(t *testing.T) {
		r, v := open(t)
		r.SendFrame(gatetest.Text(full + "b"))
		r.ExpectClose(1009)
		assertFrames(t, v, "close 1001")
	})
	t.Run("one more, in fragments of a byte", func(t *testing.T) {
		r, v := open(t)
		var all []byte
		all = append(all, gatetest.Frame{Op: 1, Payload: []byte("a")}.Encode(true)...)
		want := []string{"text a"}
		for i := range 1024 {
			f := gatetest.Frame{Payload: []byte("a")}
			all = append(all, f.Encode(true)...)
			if i < 1023 {
				want = append(want, "continuation a")
			}
		}
		r.Send(string(all))
		r.ExpectClose(1009)
		assertFrames(t, v, append(want, "close 1001")...)
	})
	t.Run("control frames between fragments do not count", func(t *testing.T) {
		r, v := open(t)
		r.SendFrame(gatetest.Frame{Op: 1, Payload: []byte(full[:1000])})
		r.SendFrame(gatetest.Frame{Fin: true, Op: 9, Payload: []byte(full[:100])})
		r.SendFrame(gatetest.Frame{Fin: true, Payload: []byte(full[:24])})
		for range 3 {
			r.Frame()
		}
		assertFrames(t, v, "text "+full[:1000], "ping "+full[:100], "continuation "+full[:24])
	})
}

func TestWSD05BrokenFrames(t *testing.T) {
	c := theChat(t)
	secret := []byte("secret")
	start := gatetest.Frame{Op: 1, Payload: []byte("begun")}
	for _, tc := range []struct {
		name   string
		before *gatetest.Frame
		frame  []byte
	}{
		{"unmasked text", nil, gatetest.Frame{Fin: true, Op: 1, Payload: secret}.Encode(false)},
		{"unmasked ping", nil, gatetest.Frame{Fin: true, Op: 9, Payload: secret}.Encode(false)},
		{"unmasked close", nil, gatetest.Frame{Fin: true, Op: 8, Payload: []byte{3, 232}}.Encode(false)},
		{"opcode 3", nil, gatetest.Frame{Fin: true, Op: 3, Payload: secret}.Encode(true)},
		{"opcode 7", nil, gatetest.Frame{Fin: true, Op: 7, Payload: secret}.Encode(true)},
		{"opcode 11", nil, gatetest.Frame{Fin: true, Op: 11, Payload: secret}.Encode(true)},
		{"opcode 15", nil, gatetest.Frame{Fin: true, Op: 15, Payload: secret}.Encode(true)},
		{"continuation of nothing", nil, gatetest.Frame{Fin: true, Payload: secret}.Encode(true)},
		{"unfinished continuation of nothing", nil, gatetest.Frame{Payload: secret}.Encode(true)},
		{"text within a message", &start, gatetest.Frame{Fin: true, Op: 1, Payload: secret}.Encode(true)},
		{"binary within a message", &start, gatetest.Frame{Op: 2, Payload: secret}.Encode(true)},
		{"fragmented ping", nil, gatetest.Frame{Op: 9, Payload: secret}.Encode(true)},
		{"fragmented close", nil, gatetest.Frame{Op: 8, Payload: []byte{3, 232}}.Encode(true)},
		{"ping of 126 bytes", nil, gatetest.Frame{Fin: true, Op: 9, Payload: make([]byte, 126)}.Encode(true)},
		{"close of 2^62 bytes", nil, header(0x88, 1<<62)},
	} {
		for _, split := range []bool{false, true} {
			name := tc.name
			if split {
				name += ", byte by byte"
			}
			t.Run(name, func(t *testing.T) {
				n := c.up.count()
				r := gatetest.Dial(t, c.HTTP)
				r.Open(c.HTTP, "/x", protocols(c.alice))
				v := c.up.visit(t, n)
				want := []string{"close 1001"}
				if tc.before != nil {
					r.SendFrame(*tc.before)
					r.Frame()
					want = []string{"text begun", "close 1001"}
				}
				// What is behind the broken frame is lost with it.
				all := append(append([]byte(nil), tc.frame...), gatetest.Text("behind").Encode(true)...)
				if !split {
					r.Send(string(all))
				}
				for i := range all {
					if !split {
						break
					}
					if _, err := r.Write(all[i : i+1]); err != nil {
						break // cut already
					}
				}
				r.ExpectClose(1002)
				assertFrames(t, v, want...)
			})
		}
	}
}
