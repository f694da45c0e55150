package relay

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Raw are the rules of a relay that carries any stream of bytes. One side may finish before the other: its end is passed
// on, and the other direction goes on.
type Raw struct {
	// What a ReadOnly downstream sends ends the connection. Otherwise it is dropped.
	CutWriters bool
	// The connection ends after so long without a byte in either direction; 0: never.
	Idle time.Duration
	// Likewise once one side has finished. 0: two minutes.
	HalfIdle time.Duration
	// Judges what a downstream sends that may write, where the stream consists of lines; nil: nobody does.
	Filter Filter
}

// Filter judges what the downstream of a stream of lines sends, in order, however it is cut. One goroutine at a time
// calls it.
type Filter interface {
	// Judge takes the next bytes, which it may change. It returns what goes on to the upstream: first, and then rest,
	// which may be a part of b; and what the downstream is told between two of the upstream's lines. They are used up
	// before the next call.
	Judge(b []byte) (first, rest, say []byte)
	// Farewell returns what either side is told between two lines when the connection is ended from here.
	Farewell(code CloseCode) (up, down []byte)
}

const defaultHalfIdle = 2 * time.Minute

// rawRelay is what a relay has to know only of bytes.
type rawRelay struct {
	Raw
	timed atomic.Bool  // silence is limited
	moved atomic.Int64 // when the last byte was passed on while timed, by the clock
	down  downLines    // with a Filter

	mu     sync.Mutex
	over   bool
	limit  time.Duration // of silence; 0: none
	alarm  *time.Timer   // nil as long as there is no limit
	halves int           // sides that have finished
}

func newRawRelay(o Raw) *rawRelay {
	if o.HalfIdle == 0 {
		o.HalfIdle = defaultHalfIdle
	}
	if o.Idle > 0 {
		o.HalfIdle = min(o.HalfIdle, o.Idle)
	}
	return &rawRelay{Raw: o}
}

// passRawLocked passes on all of b, or none of it where src may only read along.
func (p *pump) passRawLocked(b []byte) error {
	if p.over {
		p.discard = true // then only the end is waited for
		return nil
	}
	if p.frames.readOnly {
		if p.relay.raw.CutWriters {
			p.over = true
			go p.relay.close(ClosePolicy)
		}
		return nil
	}
	if p.relay.raw.Filter != nil {
		if p.frames.fromClient {
			return p.passUpLocked(b)
		}
		return p.passDownLocked(b)
	}
	if err := p.writeLocked(b); err != nil {
		return p.failLocked(err)
	}
	p.relay.raw.move()
	return nil
}

// move notes that there is no silence. The clock is not looked at where nobody wants to know.
func (s *rawRelay) move() {
	if s.timed.Load() {
		s.moved.Store(int64(clock()))
	}
}

// finishRaw is what the end of src means for the other side of a stream of bytes.
func (p *pump) finishRaw(err error) {
	r := p.relay
	switch {
	case errors.Is(err, io.EOF):
		p.mu.Lock()
		p.over = true
		_ = p.dst.CloseWrite()
		p.mu.Unlock()
		r.half()
	case p.frames.fromClient || errors.Is(err, os.ErrDeadlineExceeded):
		r.abort()
	default: // the upstream broke; what it said before is still on its way to the downstream
		p.mu.Lock()
		p.over = true
		_ = p.dst.CloseWrite()
		p.mu.Unlock()
		r.linger(r.opts.times.linger)
	}
}

// watch begins to count silence.
func (r *Relay) watch() {
	if r.raw == nil || r.raw.Idle == 0 {
		return
	}
	r.raw.mu.Lock()
	defer r.raw.mu.Unlock()
	r.raw.limitLocked(r, r.raw.Idle)
}

// half notes that one side has finished.
func (r *Relay) half() {
	r.raw.mu.Lock()
	defer r.raw.mu.Unlock()
	if r.raw.halves++; r.raw.halves == 1 {
		r.raw.limitLocked(r, r.raw.HalfIdle)
	}
}

// limitLocked limits silence, which is counted from now on.
func (s *rawRelay) limitLocked(r *Relay, limit time.Duration) {
	if s.over {
		return
	}
	s.limit = limit
	s.moved.Store(int64(clock()))
	s.timed.Store(true)
	if s.alarm == nil {
		s.alarm = time.AfterFunc(limit, r.listen)
	} else {
		s.alarm.Reset(limit)
	}
}

// listen ends the relay if it was silent for long enough, or listens again when that can be the case.
func (r *Relay) listen() {
	s := r.raw
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return
	}
	left := s.limit - (clock() - time.Duration(s.moved.Load()))
	if left > 0 {
		s.alarm.Reset(left)
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	r.close(CloseGoingAway)
}

// unwatch ends the counting.
func (r *Relay) unwatch() {
	if r.raw == nil {
		return
	}
	r.raw.mu.Lock()
	defer r.raw.mu.Unlock()
	r.raw.over = true
	if r.raw.alarm != nil {
		r.raw.alarm.Stop()
	}
}
