package relay

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Frames is the framing of a relay that carries a WebSocket.
type Frames struct {
	Extensions bool   // the peers negotiated some, so the reserved bits are theirs
	MaxMessage uint64 // bytes of a message in either direction; 0 means any
	// IdleUp ends the connection after so long without a byte of the upstream; 0 means never.
	IdleUp time.Duration
}

func (o Frames) open(r *Relay, readOnly bool) framing {
	if o.IdleUp > 0 {
		r.silence = &silence{relay: r, idle: o.IdleUp}
	}
	return &frameStream{
		up: frameFlow{pump: &r.toUp, scanner: scanner{
			fromClient: true, readOnly: readOnly, extensions: o.Extensions, maxMessage: o.MaxMessage,
		}},
		dn: frameFlow{pump: &r.toDn, scanner: scanner{extensions: o.Extensions, maxMessage: o.MaxMessage}},
	}
}

// frameStream passes on whole WebSocket frames, so that a close frame of ours lands between two of them. Once the
// connection is being closed it only looks for the peers' own close frames.
type frameStream struct {
	up, dn frameFlow
	gone   atomic.Bool // the downstream has ended

	visitor atomic.Pointer[visitor] // nil until a downstream that may not write sends a heartbeat
}

// frameFlow is one direction.
type frameFlow struct {
	pump    *pump
	scanner                        // guarded by the pump's mu
	flushed chan struct{}          // closed when final is out; nil unless somebody waits; guarded by the pump's mu
	final   atomic.Pointer[[]byte] // a close frame of ours, which waits for the frame under way to end
	told    atomic.Bool            // a close frame went to dst, ours or src's
	heard   atomic.Bool            // src's close frame has come
	halved  atomic.Bool            // dst was half-closed
}

func (s *frameStream) flow(p *pump) *frameFlow {
	if p.fromClient {
		return &s.up
	}
	return &s.dn
}

func (s *frameStream) against(f *frameFlow) *frameFlow {
	if f == &s.up {
		return &s.dn
	}
	return &s.up
}

func (s *frameStream) relay() *Relay { return s.up.pump.relay }

func (s *frameStream) pass(p *pump, b []byte) (n int, err error) {
	f := s.flow(p)
	if !p.fromClient && p.relay.silence != nil {
		p.relay.silence.move()
	}
	if !p.over && !p.discard {
		switch {
		case !s.up.readOnly:
			n = s.forward(f, b)
		case p.fromClient:
			n = s.visit(f, b)
		default:
			n = s.forwardToVisitor(f, b)
		}
	}
	if p.over || p.discard {
		p.discard = true
		if p.fromClient {
			f.left += s.visitor.Load().dropped()
		}
		n += f.skim(b[n:])
	}
	if f.closed && !f.heard.Load() {
		s.hear(f)
	}
	return n, nil
}

// forward writes what may go to dst and returns how much of b that was.
func (s *frameStream) forward(f *frameFlow, b []byte) int {
	p := f.pump
	if f.final.Load() != nil { // it goes out behind the frame under way, so the next one must not begin
		b = b[:min(uint64(len(b)), f.left)]
	}
	n, code := f.scan(b)
	if n > 0 {
		if err := p.writeLocked(b[:n]); err != nil {
			p.failLocked(err)
		}
	}
	if f.closed {
		p.discard = true
		if !p.over {
			s.tell(f)
		}
	}
	if f.final.Load() != nil && f.boundary() {
		s.sendFinalLocked(f)
	}
	if code != 0 {
		p.discard = true
		go s.fault(p, code)
	}
	return n
}

// fault ends the connection because src of p broke a rule. It is told which, while the other side has done nothing wrong.
func (s *frameStream) fault(p *pump, code CloseCode) {
	if p.fromClient {
		p.relay.close(code)
	} else {
		p.relay.closeBoth(CloseUpstream, code)
	}
}

func (s *frameStream) finished(p *pump, err error) {
	r, f := p.relay, s.flow(p)
	if p.fromClient {
		s.gone.Store(true)
	}
	if back := s.against(f); back.told.Load() { // src will not answer any more
		back.half()
	}
	expired := errors.Is(err, os.ErrDeadlineExceeded)
	switch {
	case expired && p.isPinned():
		r.abort()
	case r.ended.Load(): // the deadlines bound what is left
	case expired, errors.Is(err, ErrCut): // somebody else's limit; src can still be told
		r.close(CloseGoingAway)
	case f.told.Load(): // src said goodbye and went; dst has had its time to answer since then
	case errors.Is(err, io.EOF):
		s.ended(f)
	case p.fromClient:
		r.abort()
	default: // the upstream broke; the downstream may be fine
		r.close(CloseGoingAway)
	}
}

// ended handles an end of src without a close frame. If it is the upstream's, the downstream is told that it went away.
func (s *frameStream) ended(f *frameFlow) {
	p := f.pump
	p.mu.Lock()
	silent := !s.gone.Load() && f.boundary()
	if !silent {
		f.half()
	}
	p.mu.Unlock()
	if silent {
		p.relay.close(CloseGoingAway)
	} else {
		p.relay.linger(p.relay.times.linger)
	}
}

// farewell sends a close frame to both sides and gives them a moment to answer.
func (s *frameStream) farewell(down, up CloseCode) {
	// Both are decided before either is sent: the upstream's answer to our close frame must not overtake ours on its way
	// to the client.
	toDn, toUp := CloseFrame(down, false), CloseFrame(up, true)
	s.dn.final.Store(&toDn)
	s.up.final.Store(&toUp)
	var both sync.WaitGroup
	both.Go(func() { s.flush(&s.dn) })
	both.Go(func() { s.flush(&s.up) })
	both.Wait()
	r := s.relay()
	r.linger(r.times.close)
}

func (s *frameStream) lookEvery() time.Duration { return s.relay().times.look }
