package chatroom

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// pump moves one direction of a relay.
type pump struct {
	relay    *Relay
	src, dst Conn
	early    []byte // what src sent before the relay began

	held  [maxHeader]byte // the beginning of a frame header, not passed on yet
	nheld uint8

	final atomic.Pointer[[]byte] // a close frame to dst, which waits for the frame under way to end

	mu      sync.Mutex // over what is written to dst, and the frames that it consists of
	frames  frames
	over    bool          // nothing more goes to dst; src is read on, for what ends it
	discard bool          // nothing more of what src sends is looked at; only src's reader knows
	flushed chan struct{} // closed when final is out; nil unless somebody waits
	renewAt time.Duration // when dst's write deadline is due to be moved, by the clock

	dl     sync.Mutex // over src's read deadline
	pinned bool       // it is a last one

	checking  bool          // src's read deadline only makes us look again; see pump_unix.go
	checkedAt time.Duration // when it was last thought about
}

// clock is the time since the process began. It takes half as long as time.Now.
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
	p.finish(err)
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

// pass judges b, which begins with what was held, writes what may go out to dst and holds what is undecided. Once the
// connection is being closed it only takes note.
func (p *pump) pass(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.relay.raw != nil {
		return p.passRawLocked(b)
	}
	if p.over || p.discard {
		p.discard, p.nheld = true, 0
		return nil
	}
	if p.final.Load() != nil { // it goes out behind the frame under way, so the next one does not begin
		b = b[:min(uint64(len(b)), p.frames.left)]
	}
	open := !p.frames.closed
	n, code := p.frames.scan(b)
	p.nheld = uint8(copy(p.held[:], b[n:])) //nolint:gosec // held has 14 bytes
	if n > 0 {
		if err := p.writeLocked(b[:n]); err != nil {
			return p.failLocked(err)
		}
	}
	if p.final.Load() != nil && p.frames.boundary() {
		p.sendFinalLocked()
	}
	if open && p.frames.closed && p.relay.closes.Add(1) == 2 {
		p.relay.linger(lingerTimeout) // both have said goodbye; one should hang up
	}
	if code != 0 {
		p.discard, p.nheld = true, 0
		go p.relay.close(code)
	}
	return nil
}

func (p *pump) writeLocked(b []byte) error {
	// Moving a deadline costs more than looking at the clock, so it is moved when half of it has passed.
	if at := clock(); at >= p.renewAt {
		p.renewAt = at + writeTimeout/2
		now := time.Now()
		if err := p.dst.SetWriteDeadline(now.Add(writeTimeout)); err != nil {
			return err
		}
		if p.relay.ended.Load() { // then a shorter deadline was just overwritten
			_ = p.dst.SetWriteDeadline(now.Add(flushTimeout))
		}
	}
	_, err := p.dst.Write(b)
	return err
}

// failLocked is what it means that dst takes no more. While somebody is still to be told, src is read on: data that
// nobody read makes the kernel reset a connection, and the reset overtakes what was written to it.
func (p *pump) failLocked(err error) error {
	p.over, p.nheld = true, 0
	switch {
	case p.relay.ended.Load():
	case !p.frames.fromClient && p.relay.raw != nil:
		p.relay.abort()
		return err
	case !p.frames.fromClient:
		return err // the downstream is gone
	case errors.Is(err, os.ErrDeadlineExceeded):
		go p.relay.close(CloseGoingAway)
	default: // the other pump finds what the upstream said last, and its end
		p.relay.linger(lingerTimeout)
	}
	return nil
}

// flush sends final as soon as no other frame is under way, and then nothing more goes to dst. It returns when final is
// out or can no longer be expected to go out.
func (p *pump) flush() {
	// A peer that takes nothing must not hold this up.
	_ = p.dst.SetWriteDeadline(time.Now().Add(flushTimeout))
	p.mu.Lock()
	p.renewAt = clock() + writeTimeout // leave it at that
	if p.over || p.frames.boundary() {
		p.sendFinalLocked()
		p.mu.Unlock()
		return
	}
	flushed := make(chan struct{})
	p.flushed = flushed
	p.mu.Unlock()
	select {
	case <-flushed:
	case <-time.After(flushTimeout):
		p.mu.Lock()
		p.over = true
		p.mu.Unlock()
		breakOff(p.dst)
	}
}

func (p *pump) sendFinalLocked() {
	final := p.final.Swap(nil)
	deaf := p.over                                 // a write to dst has failed
	if final != nil && !deaf && !p.frames.closed { // else it would land inside a frame, or behind the peer's own close frame
		_, err := p.dst.Write(*final)
		deaf = err != nil
	}
	p.over = true
	// Half-closed rather than closed, so that the kernel's reset cannot overtake the frame.
	if deaf {
		breakOff(p.dst)
	} else {
		_ = p.dst.CloseWrite()
	}
	if p.flushed != nil {
		close(p.flushed)
		p.flushed = nil
	}
}

// finish is what the end of src means for the other side.
func (p *pump) finish(err error) {
	if p.frames.fromClient {
		p.relay.gone.Store(true)
	}
	switch {
	case p.relay.ended.Load():
		// We are closing; the deadlines see to the rest. A side that has ended has nothing more to say.
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		p.relay.abort()
	case p.relay.raw != nil:
		p.finishRaw(err)
	case errors.Is(err, io.EOF):
		p.mu.Lock()
		silent := !p.relay.gone.Load() && !p.frames.closed && p.frames.boundary()
		if !silent {
			_ = p.dst.CloseWrite()
		}
		p.mu.Unlock()
		if silent { // the upstream left without a close frame
			p.relay.close(CloseGoingAway)
			return
		}
		p.relay.linger(lingerTimeout)
	case p.frames.fromClient || errors.Is(err, os.ErrDeadlineExceeded):
		p.relay.abort()
	default: // the upstream broke; the downstream may be fine
		p.relay.close(CloseGoingAway)
	}
}

// readUntil gives src's reader a last deadline, which nothing moves later on.
func (p *pump) readUntil(t time.Time) {
	p.dl.Lock()
	defer p.dl.Unlock()
	p.pinned = true
	_ = p.src.SetReadDeadline(t)
}
