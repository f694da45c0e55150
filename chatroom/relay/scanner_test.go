package relay

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// opText is the opcode that only tests name.
const opText = 0x1

const (
	fin    = true
	more   = false
	masked = true
	bare   = false
)

// frame spells one frame; its payload is masked where that is asked for.
func frame(final bool, op byte, mask bool, payload []byte) []byte {
	f := header(final, op, mask, uint64(len(payload)))
	if !mask {
		return append(f, payload...)
	}
	key, start := f[len(f)-4:], len(f)
	f = append(f, payload...)
	for i := range payload {
		f[start+i] ^= key[i%4]
	}
	return f
}

func header(final bool, op byte, mask bool, length uint64) []byte {
	f := []byte{op, 0}
	if final {
		f[0] |= finBit
	}
	switch {
	case length < 126:
		f[1] = byte(length)
	case length < 1<<16:
		f[1] = 126
		f = binary.BigEndian.AppendUint16(f, uint16(length))
	default:
		f[1] = 127
		f = binary.BigEndian.AppendUint64(f, length)
	}
	if mask {
		f[1] |= maskBit
		f = append(f, 0xA1, 0xB2, 0xC3, 0xD4)
	}
	return f
}

func text(mask bool, s string) []byte { return frame(fin, opText, mask, []byte(s)) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// feed gives chunks to scan as a pump does and returns what passed, and the verdict.
func feed(t testing.TB, f *scanner, chunks ...[]byte) ([]byte, CloseCode) {
	t.Helper()
	var passed, held []byte
	for _, c := range chunks {
		b := append(held, c...)
		n, code := f.scan(b)
		passed = append(passed, b[:n]...)
		if code != 0 {
			return passed, code
		}
		if f.closed { // what comes now is discarded
			continue
		}
		held = bytes.Clone(b[n:])
		if len(held) >= maxHeader {
			t.Fatalf("%d bytes are held, which would be a whole header", len(held))
		}
		if len(held) > 0 && !f.boundary() {
			t.Fatal("bytes are held inside a frame")
		}
	}
	return passed, 0
}

func bytewise(b []byte) [][]byte { return slices.Collect(slices.Chunk(b, 1)) }

func TestScan(t *testing.T) {
	ping := frame(fin, opPing, masked, []byte("are you there"))
	kib := bytes.Repeat([]byte("x"), 1024)
	client, visitor, server := scanner{fromClient: true}, scanner{fromClient: true, readOnly: true}, scanner{}
	small := scanner{fromClient: true, maxMessage: 10}
	ten := []byte("0123456789")
	for _, tc := range []struct {
		name string
		f    scanner
		ok   []byte // passes
		bad  []byte // does not
		code CloseCode
	}{
		{"nothing", client, nil, nil, 0},
		{"empty text", client, text(masked, ""), nil, 0},
		{"text", client, text(masked, "hello"), nil, 0},
		{"text from the server", server, text(bare, "hello"), nil, 0},
		{"binary", client, frame(fin, opBinary, masked, ten), nil, 0},
		{"125", client, frame(fin, opText, masked, kib[:125]), nil, 0},
		{"126", client, frame(fin, opText, masked, kib[:126]), nil, 0},
		{"64 KiB", client, frame(fin, opText, masked, bytes.Repeat(kib, 64)), nil, 0},
		{"length spelled longer than need be", client, append([]byte{0x81, 0xFE, 0, 1, 0, 0, 0, 0}, 'x'), nil, 0},
		{"reserved bits, which are the extensions' affair", scanner{fromClient: true, extensions: true}, append([]byte{0xF1, 0x81, 0, 0, 0, 0}, 'x'), nil, 0},
		{"three frames", client, join(text(masked, "a"), ping, text(masked, "b")), nil, 0},
		{"fragments", client, join(frame(more, opText, masked, ten), frame(more, opContinuation, masked, nil), frame(fin, opContinuation, masked, ten), text(masked, "a")), nil, 0},
		{"control frames between fragments", client, join(frame(more, opText, masked, ten), ping, frame(fin, opPong, masked, nil), frame(fin, opContinuation, masked, ten)), nil, 0},
		{"close", client, CloseFrame(CloseRestart, masked), nil, 0},
		{"empty close", client, frame(fin, opClose, masked, nil), nil, 0},
		{"control frame after close", client, CloseFrame(CloseRestart, masked), ping, 0},
		{"data after close", client, frame(fin, opClose, masked, nil), text(masked, "a"), 0},
		{"broken data after close", client, frame(fin, opClose, masked, nil), []byte{0xF7, 0x7F}, 0},
		{"visitor's data after close", visitor, frame(fin, opClose, masked, nil), text(masked, "a"), 0},
		{"data after close from the server", server, frame(fin, opClose, bare, nil), text(bare, "a"), 0},

		{"reserved bit without an extension", client, ping, append([]byte{0xC1, 0x81, 0, 0, 0, 0}, 'x'), CloseProtocol},
		{"unmasked client", client, ping, text(bare, "a"), CloseProtocol},
		{"masked server", server, text(bare, "a"), text(masked, "a"), CloseProtocol},
		{"opcode 3", client, ping, frame(fin, 0x3, masked, nil), CloseProtocol},
		{"opcode 7", client, ping, frame(fin, 0x7, masked, nil), CloseProtocol},
		{"opcode B", client, ping, frame(fin, 0xB, masked, nil), CloseProtocol},
		{"opcode F", client, ping, frame(fin, 0xF, masked, nil), CloseProtocol},
		{"fragmented ping", client, ping, frame(more, opPing, masked, nil), CloseProtocol},
		{"fragmented close", client, ping, frame(more, opClose, masked, nil), CloseProtocol},
		{"ping of 126", client, ping, frame(fin, opPing, masked, kib[:126]), CloseProtocol},
		{"ping of 64 KiB", client, ping, header(fin, opPing, masked, 1<<16), CloseProtocol},
		{"continuation of nothing", client, ping, frame(fin, opContinuation, masked, ten), CloseProtocol},
		{"continuation of a message that is over", client, text(masked, "a"), frame(fin, opContinuation, masked, ten), CloseProtocol},
		{"message inside a message", client, frame(more, opText, masked, ten), text(masked, "a"), CloseProtocol},
		{"length of 2^63", client, ping, header(fin, opText, masked, 1<<63), CloseProtocol},
		{"length of 2^64-1", client, ping, header(fin, opText, masked, 1<<64-1), CloseProtocol},

		{"visitor's control frames", visitor, join(ping, frame(fin, opPong, masked, nil), CloseFrame(CloseRestart, masked)), nil, 0},
		{"visitor's text", visitor, ping, text(masked, "a"), ClosePolicy},
		{"visitor's empty text", visitor, ping, text(masked, ""), ClosePolicy},
		{"visitor's binary", visitor, ping, frame(fin, opBinary, masked, ten), ClosePolicy},
		{"visitor's fragment", visitor, ping, frame(more, opText, masked, ten), ClosePolicy},
		{"visitor's continuation", visitor, ping, frame(fin, opContinuation, masked, ten), ClosePolicy},
		{"visitor's continuation, unfinished", visitor, ping, frame(more, opContinuation, masked, nil), ClosePolicy},
		{"visitor's compressed text", visitor, ping, []byte{0xC1, 0x80, 0, 0, 0, 0}, ClosePolicy},
		{"visitor's opcode 3", visitor, ping, frame(fin, 0x3, masked, nil), ClosePolicy},
		{"visitor's unmasked text", visitor, ping, text(bare, "a"), ClosePolicy},
		{"visitor's endless text", visitor, ping, header(fin, opText, masked, 1<<63-1), ClosePolicy},
		{"first byte of a visitor's text", visitor, ping, []byte{0x81}, ClosePolicy},

		{"message at the limit", small, frame(fin, opText, masked, ten), nil, 0},
		{"message at the limit in fragments", small, join(frame(more, opText, masked, ten[:4]), ping, frame(fin, opContinuation, masked, ten[4:]), frame(fin, opText, masked, ten)), nil, 0},
		{"message over the limit", small, frame(fin, opText, masked, ten), frame(fin, opText, masked, kib[:11]), CloseTooBig},
		{"message far over the limit", small, ping, header(fin, opText, masked, 1<<63-1), CloseTooBig},
		{"message over the limit by its last fragment", small, join(frame(more, opText, masked, ten), frame(more, opContinuation, masked, nil)), frame(fin, opContinuation, masked, ten[:1]), CloseTooBig},
		{"message from the server over the limit", scanner{maxMessage: 10}, frame(fin, opText, bare, ten), frame(fin, opText, bare, kib[:11]), CloseTooBig},
	} {
		t.Run(tc.name, func(t *testing.T) {
			input := join(tc.ok, tc.bad)
			check := func(how string, chunks ...[]byte) {
				f := tc.f
				passed, code := feed(t, &f, chunks...)
				if code != tc.code || !bytes.Equal(passed, tc.ok) {
					t.Fatalf("%s: passed %d bytes with %d, want %d with %d", how, len(passed), code, len(tc.ok), tc.code)
				}
				if !f.boundary() {
					t.Fatalf("%s: no boundary behind the last frame that passed", how)
				}
			}
			check("whole", input)
			check("byte by byte", bytewise(input)...)
			if len(input) > 4096 {
				return
			}
			for i := range input {
				check("in two", input[:i], input[i:])
				if len(input) <= 128 {
					for j := i; j < len(input); j++ {
						check("in three", input[:i], input[i:j], input[j:])
					}
				}
			}
		})
	}
}

func TestBoundaryAndClose(t *testing.T) {
	input := join(text(masked, "abc"), frame(fin, opPing, masked, nil), frame(fin, opClose, masked, []byte{3, 232, 'x'}))
	ends := map[int]bool{0: true, 9: true, 15: true, 24: true}
	f := scanner{fromClient: true}
	var held []byte
	passed := 0
	for i, b := range input {
		held = append(held, b)
		n, code := f.scan(held)
		if code != 0 {
			t.Fatal(code)
		}
		held, passed = held[n:], passed+n
		if f.boundary() != ends[passed] {
			t.Errorf("after %d bytes, of which %d passed: boundary %v", i+1, passed, f.boundary())
		}
		if f.closed != (passed == len(input)) {
			t.Errorf("after %d bytes: closed %v", i+1, f.closed)
		}
	}
	if passed != len(input) {
		t.Errorf("%d of %d bytes passed", passed, len(input))
	}
}

func TestEmptyFramesAreNotFree(t *testing.T) { // of WSD-02: they pass, at the cost of looking at them
	f := scanner{fromClient: true, maxMessage: 10}
	input := join(frame(more, opText, masked, nil), bytes.Repeat(frame(more, opContinuation, masked, nil), 1<<20), frame(fin, opContinuation, masked, []byte("0123456789a")))
	passed, code := feed(t, &f, input)
	if code != CloseTooBig || len(passed) != len(input)-17 {
		t.Errorf("passed %d of %d with %d", len(passed), len(input), code)
	}
}

// reference is scanner written once more, for whole input and without state: it returns how much of in may pass, and
// the first fault.
func reference(in []byte, rules scanner) (pass int, code CloseCode) {
	var message uint64
	open, closed := false, false
	for pass < len(in) && !closed {
		h := in[pass:]
		fin, op := h[0] >= 0x80, h[0]%16
		data := op < 8
		if data && rules.readOnly {
			return pass, ClosePolicy
		}
		if op > 2 && op < 8 || op > 10 || !data && !fin {
			return pass, CloseProtocol
		}
		if len(h) < 2 {
			return pass, 0
		}
		if h[1] >= 0x80 != rules.fromClient || !data && h[1]%128 > 125 {
			return pass, CloseProtocol
		}
		length, size := uint64(h[1]%128), 2
		if ext := map[uint64]int{126: 2, 127: 8}[length]; ext > 0 {
			if len(h) < size+ext {
				return pass, 0
			}
			length = 0
			for _, b := range h[size : size+ext] {
				length = length*256 + uint64(b)
			}
			size += ext
		}
		if length >= 1<<63 {
			return pass, CloseProtocol
		}
		if rules.fromClient {
			size += 4
		}
		if len(h) < size {
			return pass, 0
		}
		if data {
			if open != (op == 0) {
				return pass, CloseProtocol
			}
			if op != 0 {
				message = 0
			}
			message += length
			if rules.maxMessage > 0 && message > rules.maxMessage {
				return pass, CloseTooBig
			}
			open = !fin
		}
		if uint64(len(h)-size) < length {
			return len(in), 0
		}
		pass += size + int(length)
		closed = op == 8
	}
	return pass, 0
}

// FuzzFrames holds, for any bytes in any pieces: what passes is what came, up to the frame that breaks a rule.
func FuzzFrames(f *testing.F) {
	f.Add(join(text(masked, "hello"), frame(more, opText, masked, []byte("a")), frame(fin, opPing, masked, nil), frame(fin, opContinuation, masked, []byte("b"))), uint8(1), uint64(1))
	f.Add(join(frame(fin, opPing, masked, nil), text(masked, "hello")), uint8(3), uint64(2))
	f.Add(join(frame(fin, opBinary, bare, make([]byte, 300)), CloseFrame(CloseRestart, bare), text(bare, "late")), uint8(0), uint64(3))
	f.Add(join(frame(more, opText, masked, make([]byte, 60)), frame(fin, opContinuation, masked, make([]byte, 60))), uint8(5), uint64(4))
	f.Add(header(fin, opText, masked, 1<<63-1), uint8(1), uint64(5))
	f.Fuzz(func(t *testing.T, in []byte, kind uint8, seed uint64) {
		rules := scanner{fromClient: kind&1 != 0, readOnly: kind&2 != 0}
		if kind&4 != 0 {
			rules.maxMessage = 100
		}
		wantPass, wantCode := reference(in, rules)
		rnd := rand.New(rand.NewPCG(seed, 0))
		var chunks [][]byte
		for rest := in; len(rest) > 0; {
			n := min(1+rnd.IntN(20), len(rest))
			chunks = append(chunks, rest[:n])
			rest = rest[n:]
		}
		for _, c := range [][][]byte{{in}, bytewise(in), chunks} {
			g := rules
			passed, code := feed(t, &g, c...)
			if code != wantCode || !bytes.Equal(passed, in[:wantPass]) {
				t.Fatalf("in %d pieces: passed %d with %d, want %d with %d", len(c), len(passed), code, wantPass, wantCode)
			}
		}
		if again, code := reference(in[:wantPass], rules); rules.readOnly && (again != wantPass || code != 0) {
			t.Fatal("data of a visitor passed")
		}
	})
}

// TestRandomFrames takes sequences that are valid for long, which random bytes never are.
func TestRandomFrames(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		mask := rnd.IntN(2) == 0
		rules := scanner{fromClient: mask, readOnly: rnd.IntN(4) == 0}
		if rnd.IntN(2) == 0 {
			rules.maxMessage = 1000
		}
		var in []byte
		for range rnd.IntN(30) {
			ops := []byte{opContinuation, opText, opBinary, opPing, opPong, opPing, opPong, opClose, 0x5}
			in = append(in, frame(rnd.IntN(4) > 0, ops[rnd.IntN(len(ops))], mask != (rnd.IntN(100) == 0), make([]byte, []int{0, 1, 20, 125, 126, 500}[rnd.IntN(6)]))...)
		}
		pass, code := reference(in, rules)
		for _, c := range [][][]byte{{in}, bytewise(in), slices.Collect(slices.Chunk(in, 1+rnd.IntN(50)))} {
			g := rules
			if got, gotCode := feed(t, &g, c...); gotCode != code || !bytes.Equal(got, in[:pass]) {
				t.Fatalf("passed %d with %d, want %d with %d, of % x", len(got), gotCode, pass, code, in)
			}
		}
	}
}

func TestCloseFrame(t *testing.T) {
	for code, reason := range closeReasons {
		want := join([]byte{0x88, byte(2 + len(reason))}, binary.BigEndian.AppendUint16(nil, uint16(code)), []byte(reason))
		if got := CloseFrame(code, bare); !bytes.Equal(got, want) {
			t.Errorf("%d: % x", code, got)
		}
		got := CloseFrame(code, masked)
		if got[1]&maskBit == 0 || len(got) != len(want)+4 {
			t.Fatalf("%d: % x", code, got)
		}
		for i := range got[6:] {
			got[6+i] ^= got[2+i%4]
		}
		if !bytes.Equal(got[6:], want[2:]) {
			t.Errorf("%d, masked: % x", code, got)
		}
		f := scanner{fromClient: true}
		if n, fault := f.scan(CloseFrame(code, masked)); n != len(want)+4 || fault != 0 || !f.closed {
			t.Errorf("%d: our own scanner does not take it", code)
		}
	}
	if bytes.Equal(CloseFrame(CloseRestart, masked)[2:6], CloseFrame(CloseRestart, masked)[2:6]) {
		t.Error("two frames have the same mask")
	}
}
