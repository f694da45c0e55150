package methods

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/chatroom/relay"
)

const textMessage = websocket.TextMessage

// conn is one client's connection.
type conn struct {
	e        *Endpoint
	accounts Accounts
	peer     Peer
	ws       *websocket.Conn
	wire     *wire

	ctx    context.Context // ends when the connection is to be closed
	cancel context.CancelFunc
	queue  chan item     // from the reader to the worker, who ends when it is closed
	read   chan struct{} // closed when the reader has ended
	tasks  sync.WaitGroup
	legs   sync.WaitGroup // reads and ends connections to the upstream; the client does not wait for it
	pinger *time.Timer

	wmu  sync.Mutex // over messages to the client, and changes of state
	gone bool       // the client reads no more; guarded by wmu

	mu      sync.Mutex
	state   *state
	closed  bool      // nothing may begin any more
	patient time.Time // until when a closed connection is read
	code    relay.CloseCode
	reason  string
	parted  bool // the code is the client's own

	failures int // failed logins in a row; only the worker uses it
}

// item is a message on its way from the reader to the worker.
type item struct {
	req  Request
	msg  []byte
	code Code // why it is refused, or ""
	at   time.Time
}

// Open serves a connection whose handshake is over in the background; early is what the client sent with the handshake. The
// caller must have been admitted. A connection that fails at once is closed, and OnClose has been called.
func (e *Endpoint) Open(accounts Accounts, raw relay.Conn, early []byte, peer Peer) error {
	c := &conn{
		e: e, accounts: accounts, peer: peer,
		queue: make(chan item, e.o.InFlight-1), // one more is with the worker
		read:  make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	fail := func(err error) error {
		c.cancel()
		e.Dismiss(peer.Client.Addr)
		_ = raw.Close()
		if peer.OnClose != nil {
			peer.OnClose()
		}
		return err
	}
	var err error
	if c.ws, c.wire, err = newSocket(raw, early, e.o.MaxMessage); err != nil {
		return fail(err)
	}
	c.mu.Lock() // the timer of a state reads it
	c.state, err = c.newVisitor(true)
	c.mu.Unlock()
	if err != nil {
		return fail(err)
	}
	c.mu.Lock()
	c.pinger = time.AfterFunc(e.o.times.ping, c.ping)
	c.mu.Unlock()
	go c.reading()
	go c.working()
	return nil
}

// reading reads messages until the client ends or breaks a rule.
func (c *conn) reading() {
	defer close(c.read)
	defer close(c.queue)
	gate, upstream := limiter(c.e.o.Rate), limiter(c.e.o.UpstreamRate)
	refusals, controls := limiter(c.e.o.Rate), rate.NewLimiter(10, 100)
	c.answerControls(controls)
	for {
		c.stayAlive()
		kind, msg, err := c.ws.ReadMessage()
		c.wire.refill()
		if err != nil {
			c.stopReading(err)
			return
		}
		if c.ctx.Err() != nil {
			continue // until the client answers the close frame
		}
		it := item{msg: msg, at: time.Now()}
		switch {
		case kind != textMessage:
			c.finish(relay.CloseBinary, relay.CloseBinary.Reason())
			return
		case !utf8.Valid(msg):
			c.finish(relay.CloseNotText, relay.CloseNotText.Reason())
			return
		}
		if it.req, err = Decode(msg); err != nil {
			if it.req.ID == nil {
				c.finish(relay.ClosePolicy, "a request is {m, r, d}, r a string or a number")
				return
			}
			it.code = BadRequest
		}
		l := gate
		if it.code == "" && c.e.o.Upstream != nil && !it.req.Own() {
			l = upstream
		}
		if !l.Allow() {
			if !refusals.Allow() {
				c.finish(relay.CloseTooMany, relay.CloseTooMany.Reason())
				return
			}
			it.code = RateLimited
		}
		select {
		case c.queue <- it:
		case <-c.ctx.Done():
		}
	}
}

func limiter(r authcore.Rate) *rate.Limiter {
	return rate.NewLimiter(rate.Every(r.Per/time.Duration(r.Burst)), r.Burst)
}

var errControls = errors.New("too many control frames")

// answerControls answers pings, up to a limit. It leaves the answer to a close frame to farewell.
func (c *conn) answerControls(l *rate.Limiter) {
	seen := func() error {
		if !l.Allow() {
			c.finish(relay.ClosePolicy, "too many control frames")
			return errControls
		}
		c.wire.refill()
		c.stayAlive()
		return nil
	}
	c.ws.SetPongHandler(func(string) error { return seen() })
	c.ws.SetPingHandler(func(data string) error {
		if err := seen(); err != nil {
			return err
		}
		_ = c.ws.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(c.e.o.times.write))
		return nil
	})
	c.ws.SetCloseHandler(func(int, string) error { return nil })
}

// stayAlive gives the client more time until its next sign of life.
func (c *conn) stayAlive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	until := time.Now().Add(c.e.o.times.silent)
	if c.closed {
		until = c.patient
	}
	_ = c.wire.SetReadDeadline(until)
}

// stopReading decides what the end of reading means. Requests that were read before are still answered.
func (c *conn) stopReading(err error) {
	e, closed := errors.AsType[*websocket.CloseError](err)
	bad, broken := errors.AsType[badClose](err)
	switch {
	case closed && e.Code == websocket.CloseAbnormalClosure: // without a close frame
		c.vanish()
	case broken:
		c.finish(relay.CloseCode(bad), relay.CloseCode(bad).Reason())
	case closed:
		c.part(relay.CloseCode(e.Code)) //nolint:gosec // read as 16 bits
	case errors.Is(err, errFlood), errors.Is(err, websocket.ErrReadLimit):
		c.finish(relay.CloseTooBig, relay.CloseTooBig.Reason())
	case isNetError(err):
		c.vanish()
	default:
		c.finish(relay.CloseProtocol, relay.CloseProtocol.Reason())
	}
}

func isNetError(err error) bool {
	_, ok := errors.AsType[net.Error](err)
	return ok || errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// finish decides how the connection is closed once what was read has been answered. The first call counts.
func (c *conn) finish(code relay.CloseCode, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.code == 0 {
		c.code, c.reason = code, reason
	}
}

// part is finish with the client's own code.
func (c *conn) part(code relay.CloseCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.code == 0 {
		c.code, c.parted = code, true
	}
}

// vanish notes that the client is gone.
func (c *conn) vanish() {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.gone = true
}

// shut closes the connection as soon as possible. It does not block.
func (c *conn) shut(code relay.CloseCode, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if c.code == 0 {
		c.code, c.reason = code, reason
	}
	c.shutLocked()
}

func (c *conn) shutLocked() {
	if c.closed {
		return
	}
	// A write to the client has as long as the close frame; a write to the upstream is woken.
	c.patient = time.Now().Add(c.e.o.times.linger)
	_ = c.wire.SetWriteDeadline(c.patient)
	if l := c.state.leg; l != nil {
		c.state.leg = nil
		l.over.Store(true)
		code := c.code
		if !c.parted {
			code = code.ToUpstream()
		}
		c.tasks.Go(func() { l.close(code) })
	}
	c.closed = true
	c.cancel()
}

// working answers requests in the order of their arrival, and closes the connection in the end.
func (c *conn) working() {
	for c.ctx.Err() == nil {
		select {
		case it, ok := <-c.queue:
			if !ok {
				c.farewell()
				return
			}
			c.work(it)
		case <-c.ctx.Done():
		}
	}
	c.farewell()
}

func (c *conn) work(it item) {
	if it.code != "" {
		c.send(Failure(it.req.ID, it.code))
		return
	}
	code := c.serve(it)
	if code != "" {
		c.send(Failure(it.req.ID, code))
	}
	if !it.req.Own() {
		return
	}
	switch code {
	case BadCredentials, BadToken, BadInvite, RateLimited:
		if c.failures++; c.failures >= maxFailures {
			c.shut(relay.CloseTooMany, "too many failed logins")
		}
	case "":
		c.failures = 0
	default:
	}
}

// serve answers one request, or returns the code that the caller has to send.
func (c *conn) serve(it item) Code {
	if !it.req.Own() {
		return c.pass(it)
	}
	do, ok := calls[it.req.Method]
	if !ok {
		return UnknownMethod
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.e.o.times.call)
	defer cancel()
	return do(ctx, call{c, it.req})
}

// send writes a message.
func (c *conn) send(msg []byte) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.writeLocked(textMessage, msg)
}

// writeLocked writes a message unless the client is gone. A client that does not read it in time counts as gone.
func (c *conn) writeLocked(kind int, msg []byte) {
	if c.gone || c.ctx.Err() != nil {
		return
	}
	until := time.Now().Add(c.e.o.times.write * time.Duration(1+len(msg)>>16))
	if c.ws.SetWriteDeadline(until) == nil && c.ws.WriteMessage(kind, msg) == nil {
		return
	}
	c.gone = true
	c.shut(relay.CloseGoingAway, "")
}

// ping asks for a sign of life, at intervals.
func (c *conn) ping() {
	_ = c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(c.e.o.times.write))
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.pinger.Reset(c.e.o.times.ping)
	}
}

// farewell closes the connection: it sends a close frame and waits for the client's answer, but not for long.
func (c *conn) farewell() {
	c.mu.Lock()
	c.shutLocked()
	c.pinger.Stop()
	code, reason := int(c.code), c.reason
	c.mu.Unlock()
	c.tasks.Wait()

	if code == 0 { // the client vanished
		code = websocket.CloseGoingAway
	}
	_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), c.patient)
	c.stayAlive()
	<-c.read
	c.wire.hearOut() // also after the reader gave up
	_ = c.wire.Close()
	c.state.vacate() // now, for a client that comes back at once, however long its upstream takes
	c.legs.Wait()
	c.state.lease.Release() // a gateway that stops waits for this, so that the upstream is told
	if c.peer.OnClose != nil {
		c.peer.OnClose()
	}
}
