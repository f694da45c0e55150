package methods

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/chatroom"
	"github.com/chatgate/chatgate/chatroom/relay"
)

// leg is the connection of one login to the upstream. It is dialled at the login, and if that fails by the next request that
// needs it.
type leg struct {
	c      *conn
	header http.Header
	over   atomic.Bool // the login is over, and nothing passes any more
	ctx    context.Context
	cancel context.CancelFunc

	pumped   chan struct{} // closed when nothing more is read, once it is dialled
	dialling sync.Mutex
	failed   time.Time // when dialling failed last; guarded by dialling

	mu  sync.Mutex
	ws  *websocket.Conn // nil until it is dialled
	raw net.Conn        // below ws and TLS
	bye relay.CloseCode // what the upstream is told, unless that is what the client is told
}

var (
	errOver    = errors.New("the login is over")
	errNoLeg   = errors.New("the upstream could not be dialled")
	notForward = []string{
		"Connection", "Upgrade", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Content-Length", "Host", "Proxy-Connection",
		"Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Extensions", "Sec-Websocket-Protocol", "Sec-Websocket-Accept",
	}
)

func (c *conn) newLeg(id *authcore.Identity) *leg {
	l := &leg{c: c, header: c.peer.Header.Clone(), pumped: make(chan struct{})}
	if l.header == nil {
		l.header = make(http.Header)
	}
	for _, name := range notForward {
		l.header.Del(name)
	}
	if c.e.o.Upstream.Scheme == "ws" && c.peer.Host != "" { // over TLS the upstream has a name of its own
		l.header.Set("Host", c.peer.Host)
	}
	c.e.o.Identity.Set(l.header, id, chatroom.ReadWrite)
	l.ctx, l.cancel = context.WithCancel(c.ctx)
	return l
}

// greet dials at once, so that the upstream can speak first.
func (l *leg) greet() { _, _ = l.link(time.Now()) }

// link returns the connection, and dials it if there is none. A request that arrived before the last attempt failed shares
// its failure.
func (l *leg) link(asked time.Time) (*websocket.Conn, error) {
	l.dialling.Lock()
	defer l.dialling.Unlock()
	switch {
	case l.over.Load():
		return nil, errOver
	case l.ws != nil:
		return l.ws, nil
	case l.failed.After(asked):
		return nil, errNoLeg
	}
	ws, raw, err := l.dial()
	if err != nil {
		l.failed = time.Now()
		if l.ctx.Err() == nil {
			l.c.e.o.Log.Error("the upstream could not be dialled", "upstream", l.c.e.o.Upstream.Redacted(), "error", err)
		}
		return nil, errNoLeg
	}
	ws.SetReadLimit(int64(l.c.e.o.MaxReply))
	l.mu.Lock()
	l.ws, l.raw = ws, raw
	l.mu.Unlock()
	l.c.mu.Lock()
	over := l.over.Load() || l.c.closed
	if !over {
		l.c.legs.Go(func() { l.pump(ws) })
	}
	l.c.mu.Unlock()
	if over {
		close(l.pumped)
		_ = raw.Close()
		return nil, errOver
	}
	return ws, nil
}

// dial connects and does the handshake. Any answer but 101 is a failure, a redirect included.
func (l *leg) dial() (*websocket.Conn, net.Conn, error) {
	o := &l.c.e.o
	ctx, cancel := context.WithTimeout(l.ctx, o.HandshakeTimeout)
	defer cancel()
	var raw net.Conn
	stop := func() bool { return false }
	plain := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		// Gorilla keeps to the context's deadline, but does not notice an earlier end.
		raw, stop = conn, context.AfterFunc(ctx, func() { _ = conn.Close() })
		return &legWire{Conn: conn}, nil
	}
	secure := func(ctx context.Context, network, addr string) (net.Conn, error) {
		if _, err := plain(ctx, network, addr); err != nil {
			return nil, err
		}
		conn := tls.Client(raw, o.upstreamTLS())
		if err := conn.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, err
		}
		return &legWire{Conn: conn}, nil
	}
	d := websocket.Dialer{
		ReadBufferSize: 1024, WriteBufferSize: 1024, WriteBufferPool: &writeBuffers, NetDialContext: plain, NetDialTLSContext: secure,
	}
	ws, resp, err := d.DialContext(ctx, l.target(), l.header)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if resp != nil {
		_ = resp.Body.Close()
	}
	if err != nil {
		return nil, nil, err
	}
	return ws, raw, nil
}

// upstreamTLS is the TLS configuration for a wss upstream.
func (o *Options) upstreamTLS() *tls.Config {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.UpstreamTLS != nil {
		cfg = o.UpstreamTLS.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName = o.Upstream.Hostname()
	}
	return cfg
}

// target is the configured URL, with the path and query that the client requested if it has none of its own.
func (l *leg) target() string {
	u := *l.c.e.o.Upstream
	if u.Path == "" && u.RawQuery == "" {
		if asked, err := url.ParseRequestURI(l.c.peer.Target); err == nil {
			u.Path, u.RawPath, u.RawQuery = asked.Path, asked.RawPath, asked.RawQuery
		}
	}
	return u.String()
}

// pump passes on the upstream's messages unchanged. The end of the upstream is the end of the client's connection: the
// upstream has forgotten the client, and will not answer its requests.
func (l *leg) pump(ws *websocket.Conn) {
	c := l.c
	defer close(l.pumped)
	for {
		kind, msg, err := ws.ReadMessage()
		if err != nil {
			l.lost(err)
			return
		}
		c.wmu.Lock()
		if !l.over.Load() {
			c.writeLocked(kind, msg)
		}
		c.wmu.Unlock()
	}
}

func (l *leg) lost(err error) {
	if l.over.Load() {
		return
	}
	code := relay.CloseGoingAway
	reason := code.Reason()
	gone, closed := errors.AsType[*websocket.CloseError](err)
	bad, broken := errors.AsType[badClose](err)
	switch {
	case closed && relay.CloseCode(gone.Code).Valid(): //nolint:gosec // read as 16 bits
		code, reason = relay.CloseCode(gone.Code), gone.Text //nolint:gosec // as above
		l.answer(code)
	case closed, isNetError(err):
	default: // the upstream's own fault; gorilla has told it, except where it did not notice
		if broken {
			l.answer(relay.CloseCode(bad))
		}
		code = relay.CloseUpstream
		reason = code.Reason()
	}
	l.c.e.o.Log.Info("the upstream closed a connection", "upstream", l.c.e.o.Upstream.Redacted(), "client_ip", l.c.peer.Client.Addr, "error", err)
	l.c.shut(code, reason)
}

// answer decides what close code the upstream gets. It is sent only when the login is over, so that no request is written
// behind a close frame.
func (l *leg) answer(code relay.CloseCode) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bye = code
}

// say sends a close frame, unless one was sent before.
func (l *leg) say(code relay.CloseCode) {
	bye := websocket.FormatCloseMessage(int(code), code.Reason())
	_ = l.ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(l.c.e.o.times.hangup))
}

// pass hands a request to the upstream unchanged.
func (c *conn) pass(it item) Code {
	if c.e.o.Upstream == nil {
		return UnknownMethod
	}
	l := c.currentLeg()
	if l == nil {
		return c.notLoggedIn()
	}
	ws, err := l.link(it.at)
	if err == nil {
		if err = ws.SetWriteDeadline(time.Now().Add(3 * c.e.o.times.write)); err == nil {
			err = ws.WriteMessage(textMessage, it.msg)
		}
	}
	switch {
	case err == nil:
		return ""
	case l.over.Load():
		return c.notLoggedIn()
	case errors.Is(err, errNoLeg):
	case isTimeout(err):
		l.lost(err)
	default: // the pump finds what the upstream said last, and its end
		_ = l.raw.SetReadDeadline(time.Now().Add(c.e.o.times.linger))
	}
	return Unavailable
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// close ends the connection, even one that is still being dialled. It does not wait for the upstream.
func (l *leg) close(code relay.CloseCode) {
	l.over.Store(true)
	l.cancel()
	l.mu.Lock()
	ws, raw := l.ws, l.raw
	if l.bye != 0 {
		code = l.bye
	}
	l.mu.Unlock()
	if ws == nil {
		return
	}
	l.c.legs.Go(func() {
		if !code.Valid() {
			code = relay.CloseGoingAway
		}
		l.say(code)
		// The pump reads up to the upstream's own close frame, or the end. Then the upstream should hang up first, since it
		// is the server.
		_ = raw.SetReadDeadline(time.Now().Add(l.c.e.o.times.linger))
		<-l.pumped
		_, _ = io.Copy(io.Discard, raw)
		_ = raw.Close()
	})
}
