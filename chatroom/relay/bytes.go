package relay

import (
	"errors"
	"io"
	"os"
	"time"
)

// Bytes is the framing of a relay that carries any stream of bytes. One side may finish before the other: its end is
// passed on, and the other direction goes on.
type Bytes struct {
	// CutWriters ends the connection of a read-only downstream that sends something. Otherwise what it sends is dropped.
	CutWriters bool
	// Idle ends the connection after so long without a byte in either direction; 0 means never.
	Idle time.Duration
	// HalfIdle does so once one side has finished; 0 means two minutes.
	HalfIdle time.Duration
}

func (o Bytes) open(r *Relay, readOnly bool) framing {
	s := new(byteStream)
	s.init(r, o, readOnly)
	return s
}

// byteStream passes on whatever comes. It has no place for a word of ours.
type byteStream struct {
	silence    silence
	readOnly   bool
	cutWriters bool
}

func (s *byteStream) init(r *Relay, o Bytes, readOnly bool) {
	s.readOnly, s.cutWriters = readOnly, o.CutWriters
	s.silence.relay = r
	s.silence.allow(o.Idle, o.HalfIdle)
	r.silence = &s.silence
}

func (s *byteStream) pass(p *pump, b []byte) (int, error) {
	if s.mute(p) {
		return len(b), nil
	}
	err := s.write(p, b)
	if err == nil {
		s.silence.move()
	}
	return len(b), err
}

// mute reports whether nothing of what p reads goes on. The caller holds p.mu.
func (s *byteStream) mute(p *pump) bool {
	switch {
	case p.over: // only the end is waited for
		p.discard = true
		return true
	case s.readOnly && p.fromClient:
		if s.cutWriters {
			p.over = true
			go p.relay.close(ClosePolicy)
		}
		return true
	}
	return false
}

// write writes pieces to dst until one fails. The caller holds p.mu.
func (s *byteStream) write(p *pump, pieces ...[]byte) error {
	for _, b := range pieces {
		if len(b) == 0 {
			continue
		}
		if err := p.writeLocked(b); err != nil {
			return s.failed(p, err)
		}
	}
	return nil
}

// failed handles a failed write to dst. Without a downstream there is nobody left to be told anything.
func (s *byteStream) failed(p *pump, err error) error {
	if !p.fromClient && !p.relay.ended.Load() {
		p.over = true
		p.relay.abort()
		return err
	}
	p.failLocked(err)
	return nil
}

func (s *byteStream) finished(p *pump, err error) {
	r := p.relay
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		r.abort()
	case r.ended.Load(): // the deadlines bound what is left
	case errors.Is(err, io.EOF):
		p.finish()
		s.silence.half()
	case p.fromClient:
		r.abort()
	default: // the upstream broke, but what it said before is still on its way to the downstream
		p.finish()
		r.linger(r.times.linger)
	}
}

func (s *byteStream) farewell(CloseCode, CloseCode) { s.silence.relay.abort() }

func (s *byteStream) lookEvery() time.Duration { return s.silence.relay.times.lookBytes }
