package relay

import (
	"sync"
	"sync/atomic"
	"time"
)

// silence ends a relay over which no byte has passed for too long, or none of the upstream. A nil silence watches nothing.
type silence struct {
	relay    *Relay
	idle     time.Duration // how much of it is allowed; 0 means any
	halfIdle time.Duration // likewise once one side has finished
	timed    atomic.Bool   // it is limited now
	moved    atomic.Int64  // when the last byte passed while timed, by the clock

	mu     sync.Mutex
	over   bool
	limit  time.Duration // in force; 0 means none
	alarm  *time.Timer   // nil as long as there is no limit
	halves int           // sides that have finished
}

const defaultHalfIdle = 2 * time.Minute

// allow sets what is allowed; see [Bytes].
func (s *silence) allow(idle, halfIdle time.Duration) {
	if halfIdle == 0 {
		halfIdle = defaultHalfIdle
	}
	if idle > 0 {
		halfIdle = min(halfIdle, idle)
	}
	s.idle, s.halfIdle = idle, halfIdle
}

// watch begins to count.
func (s *silence) watch() {
	if s == nil || s.idle == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limitLocked(s.idle)
}

// move notes that a byte passed. Without a limit it does not even read the clock.
func (s *silence) move() {
	if s.timed.Load() {
		s.moved.Store(int64(clock()))
	}
}

// half notes that one side has finished.
func (s *silence) half() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.halves++; s.halves == 1 {
		s.limitLocked(s.halfIdle)
	}
}

// limitLocked limits the silence that begins now.
func (s *silence) limitLocked(limit time.Duration) {
	if s.over {
		return
	}
	s.limit = limit
	s.moved.Store(int64(clock()))
	s.timed.Store(true)
	if s.alarm == nil {
		s.alarm = time.AfterFunc(limit, s.listen)
	} else {
		s.alarm.Reset(limit)
	}
}

// listen ends the relay if it was silent for long enough, and otherwise listens again when that can be the case.
func (s *silence) listen() {
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
	s.relay.close(CloseGoingAway)
}

// stop ends the counting.
func (s *silence) stop() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.alarm != nil {
		s.alarm.Stop()
	}
}
