package tcpproxy

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/mholt/caddy-l4/layer4"
	"github.com/mholt/caddy-l4/modules/l4tls"
	"go.uber.org/zap"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/tcpproxy/line"
)

// The times of a conversation that are not configured.
const (
	callTimeout  = 20 * time.Second // of a request, dialling included
	pauseTimeout = time.Minute      // between two requests
	writeTimeout = 10 * time.Second // for a reply to be taken
	drainTimeout = 2 * time.Second  // for the client to see that it is over
	drainBytes   = 64 << 10
)

// conversation is a connection until it is handed over or closed.
type conversation struct {
	*Line
	cx     *layer4.Connection
	client authcore.Client
	reader *line.Reader
	tries  int  // requests that came to nothing
	begun  bool // the line that is awaited has its deadline
	stays  func()
}

var warnOfTLS sync.Once

// Handle implements layer4.NextHandler. Every connection that is routed to it is its own.
func (l *Line) Handle(cx *layer4.Connection, _ layer4.Handler) error {
	c := &conversation{Line: l, cx: cx, client: authcore.Client{Dialect: "line"}}
	if at, err := netip.ParseAddrPort(cx.RemoteAddr().String()); err == nil {
		c.client.Addr = at.Addr().Unmap()
	}
	c.reader = line.NewReader(c)
	defer c.recovered() // caddy-l4 has nothing that would, and it would take the whole process along
	c.serve()
	return nil
}

func (c *conversation) recovered() {
	if p := recover(); p != nil {
		c.log().Error("panic while handling a connection", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
	}
}

// log is the process's logger: a connection outlives its configuration, and so the log that this one opened.
func (c *conversation) log() *zap.Logger {
	return caddy.Log().Named("chatgate.line").With(zap.Stringer("client_ip", c.client.Addr))
}

// serve reads requests and answers them, one after the other.
func (c *conversation) serve() {
	if !c.Plaintext && len(l4tls.GetConnectionStates(c.cx)) == 0 {
		c.log().Error("a connection without TLS was refused: put chatgate_tls before chatgate_line, or say: plaintext allow")
		c.finish(line.Nop(line.Unavailable))
		return
	}
	if !c.Plaintext && c.cx.GetVar(tlsVar) == nil {
		warnOfTLS.Do(func() {
			c.log().Warn("the tls handler lets a client take for ever over its handshake: put chatgate_tls in its place")
		})
	}
	key := authcore.AddrKey(c.client.Addr)
	if !strangers.take(key, c.PerAddress) {
		c.finish(line.Nop(line.RateLimited))
		return
	}
	placed := true
	c.stays = func() {
		if placed {
			placed = false
			strangers.done(key)
		}
	}
	defer c.stays()

	for n := 1; ; n++ {
		text, err := c.readLine(n == 1)
		if err != nil {
			if errors.Is(err, line.ErrTooLong) || errors.Is(err, line.ErrNotText) || c.reader.Buffered() > 0 {
				c.finish(line.Nop(line.Syntax(nil)))
			}
			return
		}
		req, err := c.parse(text)
		var reply line.Reply
		switch foreign := (*line.SyntaxError)(nil); {
		case err == nil:
			var over bool
			if reply, over = c.do(req); over {
				return
			}
		case n == 1 && errors.As(err, &foreign) && len(foreign.Keys) == 0: // who does not even know a verb speaks something else
			c.finish(line.Nop(line.Syntax(err)))
			return
		default:
			reply = line.Nop(line.Syntax(err))
		}
		if reply.Reason != "" {
			c.tries++
		}
		if c.tries >= c.Tries || n >= c.Requests {
			c.finish(reply)
			return
		}
		if !c.write(reply) {
			return
		}
	}
}

// parse reads a line. A verb that is not for here is as unknown as any.
func (c *conversation) parse(text string) (line.Request, error) {
	req, err := line.Parse(text)
	if err == nil && req.Verb == line.Visit && (c.upstreams == nil || !c.visitors()) {
		err = &line.SyntaxError{}
	}
	return req, err
}

// readLine waits for a line. The first one has its time from the beginning of the connection, a later one from its first
// byte.
func (c *conversation) readLine(first bool) (string, error) {
	c.begun = first || c.reader.Buffered() > 0
	wait := time.Duration(c.LineTimeout)
	if !c.begun {
		wait = max(pauseTimeout, wait)
	}
	if err := c.cx.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return "", err
	}
	return c.reader.ReadLine()
}

// Read implements io.Reader for the reader of lines.
func (c *conversation) Read(b []byte) (int, error) {
	n, err := c.cx.Read(b)
	if n > 0 && !c.begun {
		c.begun = true
		_ = c.cx.SetReadDeadline(time.Now().Add(time.Duration(c.LineTimeout)))
	}
	return n, err
}

// do carries out a request and returns the reply, or true when the connection is not ours any more.
func (c *conversation) do(req line.Request) (line.Reply, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	service, done, err := c.app.Service(ctx)
	if err != nil {
		c.failed(req.Verb, &authcore.Error{Kind: authcore.KindUnavailable, Err: err})
		return line.Nop(line.Unavailable), false
	}
	release := func() { // once, and before the relay begins
		if done != nil {
			done()
			done = nil
		}
	}
	defer release()
	out, err := verbs[req.Verb](ctx, request{service: service, args: req.Args, client: c.client, lifetime: time.Duration(c.TokenLifetime)})
	if err == nil && c.upstreams != nil && out.access != noAccess {
		var relay func()
		if relay, err = c.handOver(ctx, service, out); err == nil {
			cancel()
			release()
			relay()
			return line.Reply{}, true
		}
	}
	if err != nil {
		if errors.Is(err, errGone) {
			return line.Reply{}, true
		}
		c.failed(req.Verb, err)
		return line.Nop(reasonFor(req.Verb, err)), false
	}
	return out.reply, false
}

// failed writes what an operator has to know. A client's mistakes are not among it.
func (c *conversation) failed(verb line.Verb, err error) {
	if e := authcore.AsError(err); e.Kind == authcore.KindInternal || e.Kind == authcore.KindUnavailable && e.Err != nil {
		c.log().Error("request failed", zap.String("verb", string(verb)), zap.String("kind", e.Kind.String()), zap.Error(e.Err))
	}
}

func (c *conversation) write(r line.Reply) bool {
	_ = c.cx.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := io.WriteString(c.cx, r.Line())
	return err == nil
}

// finish writes a last reply. What the client still sends is read for a while, or the kernel's reset would overtake it.
func (c *conversation) finish(r line.Reply) {
	if !c.write(r) {
		return
	}
	deadline := time.Now().Add(drainTimeout)
	_ = c.cx.SetDeadline(deadline)
	if w, ok := c.cx.Conn.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite()
	}
	_, _ = io.CopyN(io.Discard, c.cx, drainBytes)
}
