package relay

import (
	"sync/atomic"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// Relay carries what a downstream and an upstream say to each other.
type Relay struct {
	Lease   authcore.Lease // under the session that the connection hangs on
	toUp    pump
	toDn    pump
	framing framing
	silence *silence // nil where any silence is allowed
	times   *times
	onClose func()

	begun chan struct{} // closed by Run, Start and Abandon
	done  chan struct{} // closed at the very end; only Run waits for it
	ended atomic.Bool   // the outcome is decided: a close is under way, or a side broke
	left  atomic.Int32  // who still uses the connections: the pumps, and a close under way
}

// New makes a relay of the upstream of a connection that is about to be answered, and the bytes that the upstream sent
// early. The relay can be registered as live from now on; an End before it starts is remembered.
func New(up Conn, early []byte, o Options) *Relay {
	if o.times == nil {
		o.times = &defaultTimes
	}
	if o.Framing == nil {
		o.Framing = Frames{}
	}
	if o.WriteUp > 0 {
		own := *o.times
		own.writeUp = o.WriteUp
		o.times = &own
	}
	r := &Relay{times: o.times, onClose: o.OnClose, begun: make(chan struct{})}
	if o.MaxAge > 0 {
		r.limitAge(o.MaxAge)
	}
	r.toUp = pump{relay: r, dst: up, fromClient: true}
	r.toDn = pump{relay: r, src: up, early: early}
	r.left.Store(2)
	r.framing = o.Framing.open(r, o.ReadOnly)
	return r
}

// limitAge ends the relay after d. Few have such a limit, so the timer is kept in onClose rather than in a field.
func (r *Relay) limitAge(d time.Duration) {
	age := time.AfterFunc(d, func() {
		<-r.begun
		r.close(CloseGoingAway)
	})
	then := r.onClose
	r.onClose = func() {
		age.Stop()
		if then != nil {
			then()
		}
	}
}

// SetDownstream completes a relay with a client that was answered, and the bytes that the client sent early. Start or Run
// is next, or else Abandon.
func (r *Relay) SetDownstream(down Conn, early []byte) {
	r.toUp.src, r.toDn.dst, r.toUp.early = down, down, early
}

// Start relays in the background.
func (r *Relay) Start() {
	r.begin()
	go r.toUp.run()
	go r.toDn.run()
}

// Run relays and returns when both sides are closed and no goroutine touches them any more. The handler of an HTTP stream
// must not return earlier.
func (r *Relay) Run() {
	r.done = make(chan struct{})
	r.begin()
	go r.toDn.run()
	r.toUp.run()
	<-r.done
}

func (r *Relay) begin() {
	r.silence.watch()
	close(r.begun)
}

// Abandon closes the sides of a relay that will not start.
func (r *Relay) Abandon() {
	r.ended.Store(true)
	r.left.Store(1)
	close(r.begun)
	r.leave()
}

// End implements [authcore.LiveConn]. WebSocket peers get a close frame, between two frames, and a moment to answer it.
// [Bytes] are closed at once, and of [Lines] the filter says the last.
func (r *Relay) End(cause authcore.EndCause) {
	go func() {
		<-r.begun
		r.close(closeCodeOf(cause))
	}()
}

// close ends the connection from our side.
func (r *Relay) close(code CloseCode) { r.closeBoth(code, code.ToUpstream()) }

// closeBoth ends the connection with a code for either side. Only the first call counts.
func (r *Relay) closeBoth(down, up CloseCode) {
	if !r.ended.CompareAndSwap(false, true) || !r.enter() {
		return
	}
	defer r.leave()
	r.framing.farewell(down, up)
}

// linger bounds how long both pumps still read.
func (r *Relay) linger(d time.Duration) {
	until := time.Now().Add(d)
	r.toUp.readUntil(until)
	r.toDn.readUntil(until)
}

var longAgo = time.Unix(1, 0)

// abort wakes both pumps for good, because a side broke.
func (r *Relay) abort() {
	r.ended.Store(true)
	r.toUp.readUntil(longAgo)
	r.toDn.readUntil(longAgo)
	_ = r.toUp.dst.SetWriteDeadline(longAgo)
	_ = r.toDn.dst.SetWriteDeadline(longAgo)
}

// enter keeps both sides open until the next leave. It returns false if they are closed.
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

// leave is the end of a pump, or of a close under way. The last one closes both sides; it cannot happen earlier, since
// closing a descriptor waits for its readers.
func (r *Relay) leave() {
	if r.left.Add(-1) > 0 {
		return
	}
	if down := r.toUp.src; down != nil {
		hangUp(down)
	}
	hangUp(r.toUp.dst)
	r.silence.stop()
	if r.onClose != nil {
		r.onClose()
	}
	if r.done != nil {
		close(r.done)
	}
}
