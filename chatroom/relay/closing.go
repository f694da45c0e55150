package relay

import "time"

// flush sends the final close frame as soon as no other frame is under way; then nothing more goes to dst. It returns when
// the frame is out or can no longer be expected to go out.
func (s *frameStream) flush(f *frameFlow) {
	p := f.pump
	p.lockLast()
	if p.over || p.discard || f.boundary() { // what is discarded begins behind a frame
		s.sendFinalLocked(f)
		p.mu.Unlock()
		return
	}
	flushed := make(chan struct{})
	f.flushed = flushed
	p.mu.Unlock()
	select {
	case <-flushed:
	case <-time.After(p.relay.times.flush):
		p.mu.Lock()
		p.over = true
		p.mu.Unlock()
		f.breakOff()
	}
}

// sendFinalLocked writes the last that goes to dst. It does not half-close yet: many a client that sees the end of the
// stream before its own close frame is out reports that the connection broke, whatever our frame said.
func (s *frameStream) sendFinalLocked(f *frameFlow) {
	p := f.pump
	final := f.final.Swap(nil)
	deaf := p.over                               // a write to dst has failed
	if final != nil && !deaf && !f.told.Load() { // else it would land inside a frame, or behind the peer's own close frame
		if _, err := p.dst.Write(*final); err == nil {
			s.tell(f)
		} else {
			deaf = true
		}
	}
	p.over = true
	if deaf && !f.told.Load() {
		f.breakOff()
	}
	if f.flushed != nil {
		close(f.flushed)
		f.flushed = nil
	}
}

// tell notes that a close frame went to dst.
func (s *frameStream) tell(f *frameFlow) {
	f.told.Store(true)
	s.part()
}

// hear notes that src's close frame has come.
func (s *frameStream) hear(f *frameFlow) {
	f.heard.Store(true)
	r := f.pump.relay
	if !r.ended.Load() {
		r.linger(r.times.linger) // the other should answer; once both have said goodbye, one should hang up
	}
	s.part()
}

// part half-closes the downstream as soon as both close frames are exchanged with it, since the server is to close first
// (RFC 6455, section 7.1.1). The upstream, which is a server to us, is expected to do the same.
func (s *frameStream) part() {
	if s.dn.told.Load() && s.up.heard.Load() {
		s.dn.half()
	}
}

// half half-closes dst, once.
func (f *frameFlow) half() {
	if !f.halved.Swap(true) {
		_ = f.pump.dst.CloseWrite()
	}
}

// breakOff half-closes a dst that reads nothing, once.
func (f *frameFlow) breakOff() {
	if !f.halved.Swap(true) {
		breakOff(f.pump.dst)
	}
}
