package relay

import "time"

// A visitor of a WebSocket may look on and say nothing. Of its frames, the upstream gets the close frame, and pongs as far as it has
// sent pings. The visitor's own pings are answered here, and a pong that nobody asked for goes nowhere. Both are limited, or a
// stranger could keep this process busy with frames that cost it nothing.

// How many pings and unasked pongs a visitor may send. A client that sends one every few seconds is far from it.
const (
	heartbeats     = 64 // at once
	heartbeatEvery = time.Second
)

// visitor is what a frameStream knows of a downstream that may not write and has sent a heartbeat.
type visitor struct {
	// Guarded by the mu of the pump from the client.
	due     time.Duration // when its heartbeats are within their rate again, by the clock
	left    uint64        // payload bytes of the frame under way, if that goes nowhere
	ping    []byte        // payload of the ping under way; nil if it is a pong
	key     [4]byte       // its mask
	keyNext int

	pong []byte // waits for the frame under way to the client to end; guarded by the mu of the pump to the client
}

// allow counts a heartbeat and reports whether there were not too many.
func (v *visitor) allow() bool {
	now := clock()
	v.due = max(v.due, now) + heartbeatEvery
	return v.due-now <= heartbeats*heartbeatEvery
}

// begin begins a frame that goes nowhere, of which header is the header.
func (v *visitor) begin(header []byte, length uint64) {
	v.left, v.keyNext = length, 0
	copy(v.key[:], header[len(header)-4:])
	if header[0]&0x0F == opPing {
		v.ping = make([]byte, 0, length)
	}
}

// take takes the next payload bytes of that frame, and returns how many there were.
func (v *visitor) take(b []byte) int {
	b = b[:min(uint64(len(b)), v.left)]
	v.left -= uint64(len(b))
	if v.ping != nil {
		for _, c := range b {
			v.ping = append(v.ping, c^v.key[v.keyNext%4])
			v.keyNext++
		}
	}
	return len(b)
}

// visit passes on what a visitor may tell the upstream, and returns how many bytes of b it is done with.
func (s *frameStream) visit(f *frameFlow, b []byte) int {
	p := f.pump
	i := 0
	for i < len(b) && !p.over && !p.discard {
		rest := b[i:]
		v := s.visitor.Load()
		switch {
		case v != nil && v.left > 0:
			i += v.take(rest)
			s.answer(v)
		case f.left > 0: // of a frame that passes
			i += s.forward(f, rest[:min(uint64(len(rest)), f.left)])
		case isHeartbeat(rest[0]):
			n := s.heartbeat(f, rest)
			if n == 0 {
				return i
			}
			i += n
		default:
			n := s.forward(f, rest)
			if n == 0 {
				return i
			}
			i += n
		}
	}
	return i
}

func isHeartbeat(first byte) bool { return first&0x0F == opPing || first&0x0F == opPong }

// heartbeat handles the beginning of a ping or pong. It returns 0 if b is too short to tell, and where it ends the connection.
func (s *frameStream) heartbeat(f *frameFlow, b []byte) int {
	next := f.scanner
	size, code := next.header(b)
	switch {
	case code != 0:
		return s.forward(f, b) // which refuses it
	case size == 0:
		return 0
	case b[0]&0x0F == opPong && s.owed():
		return s.forward(f, b[:min(uint64(len(b)), uint64(size)+next.left)]) //nolint:gosec // a header has 14 bytes at the most
	}
	v := s.visitor.Load()
	if v == nil {
		v = new(visitor)
		s.visitor.Store(v)
	}
	if !v.allow() {
		f.pump.discard = true
		go s.fault(f.pump, ClosePolicy)
		return 0
	}
	v.begin(b[:size], next.left)
	s.answer(v)
	return size
}

// owed reports whether the upstream waits for a pong, which it then no longer does.
func (s *frameStream) owed() bool {
	mu := &s.dn.pump.mu
	mu.Lock()
	defer mu.Unlock()
	if s.dn.pings == 0 {
		return false
	}
	s.dn.pings--
	return true
}

// answer answers the visitor's ping once all of it is there. The caller holds the mu of the other pump, which nobody takes behind
// this one.
func (s *frameStream) answer(v *visitor) {
	if v.left > 0 || v.ping == nil {
		return
	}
	pong := append([]byte{finBit | opPong, byte(len(v.ping))}, v.ping...) //nolint:gosec // a control frame has 125 bytes at the most
	v.ping = nil
	mu := &s.dn.pump.mu
	mu.Lock()
	defer mu.Unlock()
	v.pong = pong // in place of an earlier one, as RFC 6455, section 5.5.3, allows
	s.pongLocked(v)
}

// pongLocked sends the pong that waits, unless it would stand inside a frame or behind the last one.
func (s *frameStream) pongLocked(v *visitor) {
	f := &s.dn
	if v.pong == nil || !f.boundary() {
		return
	}
	pong := v.pong
	v.pong = nil
	if p := f.pump; !p.over && !p.discard && !f.told.Load() {
		if err := p.writeLocked(pong); err != nil {
			p.failLocked(err)
		}
	}
}

// forwardToVisitor is forward, with the pong that waits behind the frame under way.
func (s *frameStream) forwardToVisitor(f *frameFlow, b []byte) int {
	v := s.visitor.Load()
	if v == nil || v.pong == nil {
		return s.forward(f, b)
	}
	n := s.forward(f, b[:min(uint64(len(b)), f.left)])
	if s.pongLocked(v); f.pump.over || f.pump.discard {
		return n
	}
	return n + s.forward(f, b[n:])
}

// dropped returns how many bytes are still to come of a frame that goes nowhere, and forgets it. A nil v has none.
func (v *visitor) dropped() uint64 {
	if v == nil {
		return 0
	}
	n := v.left
	v.left, v.ping = 0, nil
	return n
}
