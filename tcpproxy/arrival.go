package tcpproxy

import (
	"context"
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
	"github.com/chatgate/chatgate/chatroom/relay"
	"github.com/chatgate/chatgate/tcpproxy/tls"
)

// The times of an arrival that are not configured.
const (
	callTimeout  = 20 * time.Second // of a request, dialling included
	pauseTimeout = time.Minute      // between two lines
	writeTimeout = 10 * time.Second // for a reply to be taken
	drainTimeout = 2 * time.Second  // for the client to see that it is over
)

// strangers counts connections that nobody has logged in, by client address, in the whole process: connections outlive the
// configuration that they came by.
var strangers relay.Counts

// arrival is a connection until it is handed over or closed, whatever is spoken on it.
type arrival struct {
	*Line
	cx     *layer4.Connection
	client authcore.Client
	tries  int       // requests that came to nothing
	begun  bool      // the line that is awaited has its deadline
	until  time.Time // when it is over in any case; zero: never
	stays  func()    // it is no stranger's any more
}

var warnOfTLS sync.Once

// Handle implements layer4.NextHandler. Every connection that is routed to it is its own.
func (l *Line) Handle(cx *layer4.Connection, _ layer4.Handler) error {
	a := arrival{Line: l, cx: cx, client: authcore.Client{Dialect: "line"}}
	if at, err := netip.ParseAddrPort(cx.RemoteAddr().String()); err == nil {
		a.client.Addr = at.Addr().Unmap()
	}
	defer a.recovered() // caddy-l4 has nothing that would, and it would take the whole process along
	if l.IRC != nil {
		a.client.Dialect = "irc"
		newIRCConversation(a).serve()
	} else {
		newConversation(a).serve()
	}
	return nil
}

func (a *arrival) recovered() {
	if p := recover(); p != nil {
		a.log().Error("panic while handling a connection", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
	}
}

// log is the process's logger: a connection outlives its configuration, and so the log that this one opened.
func (a *arrival) log() *zap.Logger {
	return caddy.Log().Named("chatgate." + a.client.Dialect).With(zap.Stringer("client_ip", a.client.Addr))
}

// admit counts a stranger in, until stays, or says why not.
func (a *arrival) admit() error {
	if !a.Plaintext && len(l4tls.GetConnectionStates(a.cx)) == 0 {
		a.log().Error("a connection without TLS was refused: put chatgate_tls before chatgate_line, or say: plaintext allow")
		return authcore.Errorf(authcore.KindUnavailable, "not over TLS")
	}
	if !a.Plaintext && !tls.HadDeadline(a.cx) {
		warnOfTLS.Do(func() {
			a.log().Warn("the tls handler lets a client take for ever over its handshake: put chatgate_tls in its place")
		})
	}
	key := authcore.AddrKey(a.client.Addr)
	if !strangers.Take(key, a.PerAddress) {
		return authcore.Errorf(authcore.KindRateLimited, "too many connections without a login")
	}
	placed := true
	a.stays = func() {
		if placed {
			placed = false
			strangers.Done(key)
		}
	}
	return nil
}

// await gives the next line its deadline. The first line has its time from the beginning of the connection, a later one
// from its first byte, which may be there.
func (a *arrival) await(begun bool) error {
	a.begun = begun
	wait := time.Duration(a.LineTimeout)
	if !begun {
		wait = max(pauseTimeout, wait)
	}
	return a.cx.SetReadDeadline(a.within(wait))
}

func (a *arrival) within(d time.Duration) time.Time {
	t := time.Now().Add(d)
	if !a.until.IsZero() && a.until.Before(t) {
		return a.until
	}
	return t
}

// Read implements io.Reader for the reader of lines.
func (a *arrival) Read(b []byte) (int, error) {
	n, err := a.cx.Read(b)
	if n > 0 && !a.begun {
		a.begun = true
		_ = a.cx.SetReadDeadline(a.within(time.Duration(a.LineTimeout)))
	}
	return n, err
}

// ask runs f with the service. It returns an error of its own when there is none.
func (a *arrival) ask(f func(ctx context.Context, service *authcore.Service, release func()) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	service, done, err := a.app.Service(ctx)
	if err != nil {
		return &authcore.Error{Kind: authcore.KindUnavailable, Err: err}
	}
	release := func() { // once, and before a relay begins
		if done != nil {
			done()
			done = nil
			cancel()
		}
	}
	defer release()
	return f(ctx, service, release)
}

// failed writes what an operator has to know. A client's mistakes are not among it.
func (a *arrival) failed(what string, err error) {
	if e := authcore.AsError(err); e.Kind == authcore.KindInternal || e.Kind == authcore.KindUnavailable && e.Err != nil {
		a.log().Error("request failed", zap.String("verb", what), zap.String("kind", e.Kind.String()), zap.Error(e.Err))
	}
}

func (a *arrival) write(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	_ = a.cx.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := a.cx.Write(b)
	return err == nil
}

// finish writes last words. However much the client still sends is read for a while, or the kernel's reset would overtake
// them.
func (a *arrival) finish(b []byte) {
	if !a.write(b) {
		return
	}
	deadline := time.Now().Add(drainTimeout)
	_ = a.cx.SetDeadline(deadline)
	if w, ok := a.cx.Conn.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, a.cx) // until the deadline, at the latest
}
