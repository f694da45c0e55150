package relay

import (
	"encoding/binary"
	"math"
)

// Parts of a frame header (RFC 6455, section 5.2).
const (
	finBit  = 0x80
	rsvBits = 0x70
	maskBit = 0x80

	opContinuation = 0x0
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA

	maxHeader  = 14
	maxControl = 125
)

// scanner follows one direction of a WebSocket from frame header to frame header. It looks at headers only; payloads are
// counted.
type scanner struct {
	maxMessage uint64 // payload bytes of a message over all its fragments; 0 means any
	fromClient bool   // frames must be masked, and not otherwise
	readOnly   bool   // no data frame may pass
	extensions bool   // reserved bits may be set

	open    bool   // a fragmented message is under way
	closing bool   // the frame under way is a close frame
	closed  bool   // the close frame has come; nothing behind it counts
	pings   uint8  // that have come and were not answered yet, as far as it can count
	left    uint64 // payload bytes of the frame that is under way
	message uint64 // payload bytes of the message so far
}

// scan judges p, which begins where the last scan stopped. It returns how many bytes may be passed on, and a close code if
// what follows them breaks a rule. Without a code, the rest is the beginning of a header, which the caller presents again
// with more behind it; or it comes behind the close frame, where a receiver discards everything (RFC 6455, section 1.4).
func (f *scanner) scan(p []byte) (int, CloseCode) {
	i := 0
	for {
		if f.left > 0 {
			n := min(f.left, uint64(len(p)-i))
			i += int(n) //nolint:gosec // at most what there is of p
			if f.left -= n; f.left > 0 {
				return i, 0
			}
		}
		if f.closing {
			f.closing, f.closed = false, true
		}
		if i == len(p) || f.closed {
			return i, 0
		}
		size, code := f.header(p[i:])
		if code != 0 || size == 0 {
			return i, code
		}
		i += size
	}
}

// header reads one frame header. It returns its size, or 0 if h is too short to tell, and a close code if it breaks a rule.
func (f *scanner) header(h []byte) (int, CloseCode) {
	op := h[0] & 0x0F
	control := op >= opClose
	if f.readOnly && !control {
		return 0, ClosePolicy // on the first byte: nothing of this frame passes
	}
	if h[0]&rsvBits != 0 && !f.extensions {
		return 0, CloseProtocol
	}
	if op > opPong || !control && op > opBinary || control && h[0]&finBit == 0 {
		return 0, CloseProtocol
	}
	if len(h) < 2 {
		return 0, 0
	}
	if (h[1]&maskBit != 0) != f.fromClient {
		return 0, CloseProtocol
	}
	if control && h[1]&^maskBit > maxControl {
		return 0, CloseProtocol
	}
	size, length := layout(h)
	if length>>63 != 0 {
		return 0, CloseProtocol
	}
	if len(h) < size {
		return 0, 0
	}
	if !control {
		if (op == opContinuation) != f.open {
			return 0, CloseProtocol
		}
		if op != opContinuation {
			f.message = 0
		}
		if f.message += length; f.maxMessage > 0 && f.message > f.maxMessage {
			return 0, CloseTooBig
		}
		f.open = h[0]&finBit == 0
	} else if op == opPing && f.pings < math.MaxUint8 {
		f.pings++
	}
	f.left, f.closing = length, op == opClose
	return size, 0
}

// layout returns the size of a frame header, of which h has at least two bytes, and the length of the payload, which is 0
// as long as h is too short for it.
func layout(h []byte) (size int, length uint64) {
	size, length = 2, uint64(h[1]&^maskBit)
	switch length {
	case 126:
		if size, length = 4, 0; len(h) >= size {
			length = uint64(binary.BigEndian.Uint16(h[2:]))
		}
	case 127:
		if size, length = 10, 0; len(h) >= size {
			length = binary.BigEndian.Uint64(h[2:])
		}
	}
	if h[1]&maskBit != 0 {
		size += 4
	}
	return size, length
}

// skim follows frames that go nowhere up to the close frame, whatever rules they break. It returns how many bytes of p it
// is done with; the rest is the beginning of a header, as with scan.
func (f *scanner) skim(p []byte) int {
	i := 0
	for !f.closed {
		n := min(f.left, uint64(len(p)-i))
		i += int(n) //nolint:gosec // at most what there is of p
		if f.left -= n; f.left > 0 {
			return i
		}
		if f.closing {
			f.closing, f.closed = false, true
			break
		}
		size := f.anyHeader(p[i:])
		if size == 0 {
			return i
		}
		i += size
	}
	return len(p)
}

// anyHeader reads one frame header, whatever rules it breaks, and returns its size, or 0 if h is too short to tell.
func (f *scanner) anyHeader(h []byte) int {
	if len(h) < 2 {
		return 0
	}
	size, length := layout(h)
	if len(h) < size {
		return 0
	}
	f.left, f.closing = length, h[0]&0x0F == opClose
	return size
}

// boundary reports whether what was passed on so far ends with a frame.
func (f *scanner) boundary() bool { return f.left == 0 }
