package relay

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
	discard bool          // what src sends is only followed to its close frame; src's reader alone changes it
	flushed chan struct{} // closed when final is out; nil unless somebody waits
	renewAt time.Duration // when dst's write deadline is due to be moved, by the clock

	told   atomic.Bool // a close frame went to dst, ours or src's
	heard  atomic.Bool // src's close frame has come
	halved atomic.Bool // dst was half-closed

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
// connection is being closed it only looks for the peer's close frame.
func (p *pump) pass(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.relay.raw != nil {
		return p.passRawLocked(b)
	}
	var err error
	if !p.over && !p.discard {
		var n int
		n, err = p.passFramesLocked(b)
		b = b[n:]
	}
	if p.over || p.discard {
		p.discard = true
		b = b[p.frames.skim(b):]
	}
	if p.frames.closed && !p.heard.Load() {
		p.hear()
	}
	p.nheld = uint8(copy(p.held[:], b)) //nolint:gosec // held has 14 bytes
	return err
}

// passFramesLocked passes on what may go to dst and returns how much of b that was.
func (p *pump) passFramesLocked(b []byte) (int, error) {
	if p.final.Load() != nil { // it goes out behind the frame under way, so the next one does not begin
		b = b[:min(uint64(len(b)), p.frames.left)]
	}
	n, code := p.frames.scan(b)
	var err error
	if n > 0 {
		if err = p.writeLocked(b[:n]); err != nil {
			err = p.failLocked(err)
		}
	}
	if p.frames.closed {
		p.discard = true
		if !p.over {
			p.tell()
		}
	}
	if p.final.Load() != nil && p.frames.boundary() {
		p.sendFinalLocked()
	}
	if code != 0 {
		p.discard = true
		go p.relay.fault(p, code)
	}
	return n, err
}

func (p *pump) writeLocked(b []byte) error {
	// Moving a deadline costs more than looking at the clock, so it is moved when half of it has passed.
	if at := clock(); at >= p.renewAt {
		t := p.relay.opts.times
		p.renewAt = at + t.write/2
		now := time.Now()
		if err := p.dst.SetWriteDeadline(now.Add(t.write)); err != nil {
			return err
		}
		if p.relay.ended.Load() { // then a shorter deadline was just overwritten
			_ = p.dst.SetWriteDeadline(now.Add(t.flush))
		}
	}
	_, err := p.dst.Write(b)
	return err
}

// failLocked handles a failed write to dst. While somebody is still to be told, src is read on: data that
// nobody read makes the kernel reset a connection, and the reset overtakes what was written to it.
func (p *pump) failLocked(err error) error {
	p.over = true
	switch {
	case p.relay.ended.Load():
	case !p.frames.fromClient && p.relay.raw != nil:
		p.relay.abort()
		return err
	case !p.frames.fromClient, errors.Is(err, os.ErrDeadlineExceeded): // the downstream is gone, or dst is deaf
		go p.relay.close(CloseGoingAway)
	default: // the other pump finds what the upstream said last, and its end
		p.relay.linger(p.relay.opts.times.linger)
	}
	return nil
}

// flush sends final as soon as no other frame is under way, and then nothing more goes to dst. It returns when final is
// out or can no longer be expected to go out.
func (p *pump) flush() {
	t := p.relay.opts.times
	// A peer that takes nothing must not hold this up.
	_ = p.dst.SetWriteDeadline(time.Now().Add(t.flush))
	p.mu.Lock()
	p.renewAt = clock() + t.write                   // leave it at that
	if p.over || p.discard || p.frames.boundary() { // what is discarded begins behind a frame
		p.sendFinalLocked()
		p.mu.Unlock()
		return
	}
	flushed := make(chan struct{})
	p.flushed = flushed
	p.mu.Unlock()
	select {
	case <-flushed:
	case <-time.After(t.flush):
		p.mu.Lock()
		p.over = true
		p.mu.Unlock()
		p.breakOff()
	}
}

// sendFinalLocked is the last that goes to dst. It is not half-closed yet: many a client that sees the end of the stream
// before its own close frame is out reports that the connection broke, whatever our frame said.
func (p *pump) sendFinalLocked() {
	final := p.final.Swap(nil)
	deaf := p.over                               // a write to dst has failed
	if final != nil && !deaf && !p.told.Load() { // else it would land inside a frame, or behind the peer's own close frame
		if _, err := p.dst.Write(*final); err == nil {
			p.tell()
		} else {
			deaf = true
		}
	}
	p.over = true
	if deaf && !p.told.Load() {
		p.breakOff()
	}
	if p.flushed != nil {
		close(p.flushed)
		p.flushed = nil
	}
}

// tell notes that a close frame went to dst, and hear that one of src has come.
func (p *pump) tell() {
	p.told.Store(true)
	p.relay.part()
}

func (p *pump) hear() {
	p.heard.Store(true)
	r := p.relay
	if !r.ended.Load() {
		r.linger(r.opts.times.linger) // the other should answer; once both have said goodbye, one should hang up
	}
	r.part()
}

// half is the end of what goes to dst.
func (p *pump) half() {
	if !p.halved.Swap(true) {
		_ = p.dst.CloseWrite()
	}
}

// breakOff is half for a dst that takes nothing.
func (p *pump) breakOff() {
	if !p.halved.Swap(true) {
		breakOff(p.dst)
	}
}

// finish is what the end of src means for the other side.
func (p *pump) finish(err error) {
	r, expired := p.relay, errors.Is(err, os.ErrDeadlineExceeded)
	back := r.against(p)
	if p.frames.fromClient {
		r.gone.Store(true)
	}
	if back.told.Load() { // src will not answer any more
		back.half()
	}
	switch {
	case r.ended.Load():
		// We are closing; the deadlines see to the rest. A side that has ended has nothing more to say.
		if expired {
			r.abort()
		}
	case r.raw != nil:
		p.finishRaw(err)
	case expired:
		r.abort()
	case p.told.Load(): // src said goodbye and went; dst has had its time to answer set by that
	case errors.Is(err, io.EOF):
		p.mu.Lock()
		silent := !r.gone.Load() && p.frames.boundary()
		if !silent {
			p.half()
		}
		p.mu.Unlock()
		if silent { // the upstream left without a close frame
			r.close(CloseGoingAway)
			return
		}
		r.linger(r.opts.times.linger)
	case p.frames.fromClient:
		r.abort()
	default: // the upstream broke; the downstream may be fine
		r.close(CloseGoingAway)
	}
}

// readUntil gives src's reader a last deadline, which nothing moves later on.
func (p *pump) readUntil(t time.Time) {
	p.dl.Lock()
	defer p.dl.Unlock()
	p.pinned = true
	_ = p.src.SetReadDeadline(t)
}
