package relay

import (
	"errors"
	"os"
	"sync"
	"time"
)

// pump moves one direction of a relay.
type pump struct {
	relay    *Relay
	src, dst Conn
	early    []byte // what src sent before the relay began

	held       [maxHeader]byte // what the framing could not judge yet
	nheld      uint8
	fromClient bool // src is the downstream

	mu        sync.Mutex    // over what is written to dst, and what the framing knows of it
	renewAt   time.Duration // when dst's write deadline has to be moved, by the clock
	dl        sync.Mutex    // over src's read deadline
	checkedAt time.Duration // when we last decided whether to look again, by the clock

	// Side by side, since they are per connection.
	over     bool // nothing more goes to dst; src is still read, for what ends it; guarded by mu
	discard  bool // what src sends goes nowhere; src's reader alone changes it
	pinned   bool // src's read deadline is a last one; guarded by dl
	checking bool // src's read deadline only makes us look again; see pump_unix.go
}

// clock is the time since the process began. It costs half as much as time.Now.
func clock() time.Duration { return time.Since(epoch) }

var epoch = time.Now()

// Sizes of read buffers. Most chat messages fit the small one, which lives as long as the connection where the kernel
// cannot be asked to wait without one.
const (
	smallBuffer = 512
	largeBuffer = 16 << 10
)

var buffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}

func (p *pump) run() {
	defer p.relay.leave()
	var err error
	if len(p.early) > 0 {
		err = p.replay()
	}
	if err == nil {
		if raw := rawConn(p.src); raw != nil {
			err = p.runRaw(raw)
		} else {
			err = p.runBuffered()
		}
	}
	p.relay.framing.finished(p, err)
}

// replay passes on what came early.
func (p *pump) replay() error {
	buf := buffers.Get().(*[largeBuffer]byte)
	defer buffers.Put(buf)
	for len(p.early) > 0 {
		off := copy(buf[:], p.held[:p.nheld])
		n := copy(buf[off:], p.early)
		p.early = p.early[n:]
		if err := p.pass(buf[:off+n]); err != nil {
			return err
		}
	}
	p.early = nil
	return nil
}

// runBuffered reads into a small buffer, and into a pooled one as long as reads fill it.
func (p *pump) runBuffered() error {
	var small [smallBuffer]byte
	full := false
	for {
		if full {
			buf := buffers.Get().(*[largeBuffer]byte)
			n, err := p.readPass(buf[:])
			buffers.Put(buf)
			if err != nil {
				return err
			}
			full = n == largeBuffer
			continue
		}
		n, err := p.readPass(small[:])
		if err != nil {
			return err
		}
		full = n == smallBuffer
	}
}

func (p *pump) readPass(buf []byte) (int, error) {
	off := copy(buf, p.held[:p.nheld])
	n, err := p.src.Read(buf[off:])
	if n > 0 {
		if perr := p.pass(buf[:off+n]); perr != nil {
			return 0, perr
		}
	}
	return off + n, err
}

// pass has the framing judge b, which begins with what was held, and holds what it could not judge yet.
func (p *pump) pass(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, err := p.relay.framing.pass(p, b)
	p.nheld = uint8(copy(p.held[:], b[n:])) //nolint:gosec // held has 14 bytes
	return err
}

func (p *pump) writeLocked(b []byte) error {
	// Moving a deadline costs more than reading the clock, so it is moved when half of it has passed.
	if at := clock(); at >= p.renewAt {
		t := p.relay.times
		write := t.write
		if p.fromClient && t.writeUp > 0 {
			write = t.writeUp
		}
		p.renewAt = at + write/2
		now := time.Now()
		if err := p.dst.SetWriteDeadline(now.Add(write)); err != nil {
			return err
		}
		if p.relay.ended.Load() { // then a shorter deadline was just overwritten
			_ = p.dst.SetWriteDeadline(now.Add(t.flush))
		}
	}
	_, err := p.dst.Write(b)
	return err
}

// failLocked handles a failed write to dst. As long as somebody is to be told, src is still read: unread data makes the
// kernel reset a connection, and the reset overtakes what was written to it.
func (p *pump) failLocked(err error) {
	p.over = true
	switch {
	case p.relay.ended.Load():
	case !p.fromClient, errors.Is(err, os.ErrDeadlineExceeded): // the downstream is gone, or dst is deaf
		go p.relay.close(CloseGoingAway)
	default: // the other pump finds what the upstream said last, and its end
		p.relay.linger(p.relay.times.linger)
	}
}

// lockLast locks p.mu for the last write to dst. A peer that reads nothing holds that up no longer than times.flush.
func (p *pump) lockLast() {
	t := p.relay.times
	_ = p.dst.SetWriteDeadline(time.Now().Add(t.flush)) // also of a write under way, which has the lock
	p.mu.Lock()
	p.renewAt = clock() + t.write // so that nothing moves that deadline
}

// finish half-closes dst: src has ended.
func (p *pump) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	_ = p.dst.CloseWrite()
}

// readUntil gives src's reader a last deadline, which nothing moves later on.
func (p *pump) readUntil(t time.Time) {
	p.dl.Lock()
	defer p.dl.Unlock()
	p.pinned = true
	_ = p.src.SetReadDeadline(t)
}

// isPinned reports whether src's reader has a last deadline.
func (p *pump) isPinned() bool {
	p.dl.Lock()
	defer p.dl.Unlock()
	return p.pinned
}
