package relay

import (
	"crypto/tls"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// Conn is one side of a relay: a TCP, TLS or unix connection, or an HTTP/2 or HTTP/3 stream.
type Conn interface {
	io.ReadWriteCloser
	CloseWrite() error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// Options are the rules that a connection keeps for its life, whatever is configured later.
type Options struct {
	ReadOnly   bool   // the downstream may not send data frames
	Extensions bool   // the peers negotiated some, so the reserved bits are theirs
	MaxMessage uint64 // bytes of a message in either direction; 0 means any
	OnClose    func() // called once, when both sides are closed
	Raw        *Raw   // bytes instead of frames; then MaxMessage and Extensions mean nothing

	times *times // nil: defaultTimes
}

// times are how long a relay waits for what.
type times struct {
	write  time.Duration // a peer that takes nothing for so long is dead
	flush  time.Duration // for a close frame to go out
	close  time.Duration // for the peer to answer it
	linger time.Duration // for one side to finish once the other has, a message included that is under way
}

var defaultTimes = times{write: 30 * time.Second, flush: time.Second, close: 2 * time.Second, linger: 5 * time.Second}

// Relay is a WebSocket between a downstream and an upstream, or any stream of bytes.
type Relay struct {
	Lease authcore.Lease // under the session that the connection hangs on
	toUp  pump
	toDn  pump
	opts  Options
	begun chan struct{} // closed by Run, Start and Abandon
	done  chan struct{} // closed at the very end; only Run waits for it
	ended atomic.Bool   // nothing more is decided: a close is under way, or a side broke
	gone  atomic.Bool   // the downstream has ended
	left  atomic.Int32  // who still uses the connections: the pumps, and a close under way
	raw   *rawRelay     // nil for a WebSocket
}

// New takes the upstream of a connection that is about to be, and the bytes that it sent early. The relay can be
// registered as live from now on; what ends it before it begins is remembered.
func New(up Conn, early []byte, o Options) *Relay {
	if o.times == nil {
		o.times = &defaultTimes
	}
	r := &Relay{opts: o, begun: make(chan struct{})}
	r.toUp = pump{relay: r, dst: up, frames: frames{fromClient: true, readOnly: o.ReadOnly, extensions: o.Extensions, maxMessage: o.MaxMessage}}
	r.toDn = pump{relay: r, src: up, early: early, frames: frames{extensions: o.Extensions, maxMessage: o.MaxMessage}}
	r.left.Store(2)
	if o.Raw != nil {
		r.raw = newRawRelay(*o.Raw)
	}
	return r
}

// SetDownstream completes a relay with a client that was answered, and the bytes that it sent early. Start or Run is
// next, or else Abandon.
func (r *Relay) SetDownstream(down Conn, early []byte) {
	r.toUp.src, r.toDn.dst, r.toUp.early = down, down, early
}

// Start relays in the background.
func (r *Relay) Start() {
	r.watch()
	close(r.begun)
	go r.toUp.run()
	go r.toDn.run()
}

// Abandon closes what there is of a relay that will not start.
func (r *Relay) Abandon() {
	r.ended.Store(true)
	r.left.Store(1)
	close(r.begun)
	r.leave()
}

// Run relays and returns when both sides are closed and nobody touches them any more: of a stream, nothing is left
// then.
func (r *Relay) Run() {
	r.done = make(chan struct{})
	r.watch()
	close(r.begun)
	go r.toDn.run()
	r.toUp.run()
	<-r.done
}

// End implements [authcore.LiveConn]: both peers get a close frame, between two frames, and a moment to answer. Where
// there are no frames there is nothing to be said, and both sides are closed at once; of lines, a filter has the last one.
func (r *Relay) End(cause authcore.EndCause) {
	go func() {
		<-r.begun
		r.close(closeCodeOf(cause))
	}()
}

// close ends the connection from our side.
func (r *Relay) close(code CloseCode) {
	r.closeBoth(code, code.ToUpstream())
}

// fault ends the connection because of what src of p sent. It is told what was wrong; the other one has done nothing.
func (r *Relay) fault(p *pump, code CloseCode) {
	if p.frames.fromClient {
		r.closeBoth(code, code.ToUpstream())
	} else {
		r.closeBoth(CloseUpstream, code)
	}
}

// closeBoth has a close frame for either side. Only the first call counts.
func (r *Relay) closeBoth(code, up CloseCode) {
	if !r.ended.CompareAndSwap(false, true) || !r.enter() {
		return
	}
	defer r.leave()
	switch {
	case r.raw != nil && r.raw.Filter != nil:
		r.farewell(code)
		return
	case r.raw != nil:
		r.abort()
		return
	}
	// Both are decided before either is sent: the upstream's answer to our close frame must not overtake ours on its way
	// to the client.
	toDn, toUp := CloseFrame(code, false), CloseFrame(up, true)
	r.toDn.final.Store(&toDn)
	r.toUp.final.Store(&toUp)
	var both sync.WaitGroup
	both.Go(r.toDn.flush)
	both.Go(r.toUp.flush)
	both.Wait()
	r.linger(r.opts.times.close)
}

// against returns the pump of the other direction.
func (r *Relay) against(p *pump) *pump {
	if p == &r.toUp {
		return &r.toDn
	}
	return &r.toUp
}

// part half-closes the downstream as soon as both close frames are exchanged with it, since the server is to close first
// (RFC 6455, section 7.1.1). Of the upstream, which is a server to us, the same is expected.
func (r *Relay) part() {
	if r.toDn.told.Load() && r.toUp.heard.Load() {
		r.toDn.half()
	}
}

// linger gives both pumps a last while to read what ends their side.
func (r *Relay) linger(d time.Duration) {
	until := time.Now().Add(d)
	r.toUp.readUntil(until)
	r.toDn.readUntil(until)
}

var longAgo = time.Unix(1, 0)

// abort wakes both pumps for good: a side broke.
func (r *Relay) abort() {
	r.ended.Store(true)
	r.toUp.readUntil(longAgo)
	r.toDn.readUntil(longAgo)
	_ = r.toUp.dst.SetWriteDeadline(longAgo)
	_ = r.toDn.dst.SetWriteDeadline(longAgo)
}

// enter keeps both sides open until the next leave, or reports that they are closed.
func (r *Relay) enter() bool {
	for {
		n := r.left.Load()
		if n == 0 {
			return false
		}
		if r.left.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// leave is the end of a pump, or of a close under way. The last one closes both sides; not earlier, since closing a
// descriptor waits for its readers.
func (r *Relay) leave() {
	if r.left.Add(-1) > 0 {
		return
	}
	if down := r.toUp.src; down != nil {
		hangUp(down)
	}
	hangUp(r.toUp.dst)
	r.unwatch()
	if r.opts.OnClose != nil {
		r.opts.OnClose()
	}
	if r.done != nil {
		close(r.done)
	}
}

// breakOff half-closes c, whose peer takes nothing, without another word. Over TLS, CloseWrite would send an alert, for
// which crypto/tls takes five seconds whatever deadline was set.
func breakOff(c Conn) {
	if t, ok := c.(*tls.Conn); ok {
		if half, ok := t.NetConn().(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
			return
		}
	}
	_ = c.CloseWrite()
}

// hangUp closes c at once. What TLS has to say at the end was said when c was half-closed, or cannot be said.
func hangUp(c Conn) {
	if t, ok := c.(*tls.Conn); ok {
		_ = t.NetConn().Close()
		return
	}
	_ = c.Close()
}
