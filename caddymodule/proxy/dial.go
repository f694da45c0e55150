package proxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/chatgate/chatgate/chatroom"
)

// The handshake of a WebSocket cannot go through the http.Transport of reverse_proxy, which would keep its own goroutines and
// buffers on the connection. So what is configured of that transport is done here again. TestEveryOption lists all of it.

// patience returns how long an upstream may take for its answer to a handshake, and how large it may be.
func (t *gateTransport) patience() chatroom.Patience {
	p := chatroom.Patience{Timeout: t.timeout, MaxHeader: t.http.MaxResponseHeaderSize}
	if d := time.Duration(t.http.ResponseHeaderTimeout); d > 0 {
		p.Timeout = min(p.Timeout, d)
	}
	return p
}

// dial connects to the selected upstream for HTTP/1.1, through a network proxy and over TLS if the transport is configured so.
func (t *gateTransport) dial(r *http.Request) (net.Conn, error) {
	if t.http == nil || t.http.Transport == nil {
		return nil, &chatroom.Refusal{Status: http.StatusNotImplemented, Msg: "WebSockets need the http transport"}
	}
	ctx, cancel := context.WithTimeout(r.Context(), t.timeout)
	defer cancel()
	t.http.SetScheme(r)
	conn, err := t.connect(ctx, r)
	if err != nil || r.URL.Scheme != "https" {
		return conn, err
	}
	cfg := t.tlsConfig(ctx)
	cfg.ServerName = cmp.Or(cfg.ServerName, upstreamHost(r))
	return t.overTLS(ctx, conn, cfg)
}

// connect opens the connection that everything goes over.
func (t *gateTransport) connect(ctx context.Context, r *http.Request) (net.Conn, error) {
	di, dialled := reverseproxy.GetDialInfo(ctx)
	if !dialled || !strings.HasPrefix(di.Network, "unix") { // to which no proxy leads
		via, err := t.http.Transport.Proxy(r)
		if err != nil {
			return nil, err
		}
		if via != nil {
			return t.through(ctx, via, upstreamAddress(r))
		}
	}
	return t.dialTCP(ctx, r.URL.Host)
}

// dialTCP connects as the transport does. In the context of a request it ignores addr and dials the request's upstream, unless
// there is a network proxy.
func (t *gateTransport) dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := t.http.Transport.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return bare(conn), nil
}

// bare returns what is in the wrapper that Caddy puts around a TCP connection for read_timeout and write_timeout. The wrapper
// moves the deadlines of whoever uses it, those of the handshake and the relay as well; the relay knows these timeouts itself.
func bare(conn net.Conn) net.Conn {
	if v := reflect.Indirect(reflect.ValueOf(conn)); v.Kind() == reflect.Struct {
		if f := v.FieldByName("TCPConn"); f.IsValid() && f.CanInterface() {
			if tcp, ok := f.Interface().(*net.TCPConn); ok {
				return tcp
			}
		}
	}
	return conn
}

// tlsConfig returns the transport's configuration for a connection of HTTP/1.1.
func (t *gateTransport) tlsConfig(ctx context.Context) *tls.Config {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if c := t.http.Transport.TLSClientConfig; c != nil {
		cfg = c.Clone()
	}
	cfg.NextProtos = nil
	if repl, ok := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok && strings.Contains(cfg.ServerName, "{") {
		cfg.ServerName = repl.ReplaceAll(cfg.ServerName, "")
	}
	return cfg
}

// overTLS does a handshake over conn, which it closes if that fails.
func (t *gateTransport) overTLS(ctx context.Context, conn net.Conn, cfg *tls.Config) (net.Conn, error) {
	if d := t.http.Transport.TLSHandshakeTimeout; d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	tc := tls.Client(conn, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		if errors.Is(err, context.DeadlineExceeded) {
			err = errors.New("the TLS handshake took too long")
		}
		return nil, reverseproxy.NewDialError(err)
	}
	return tc, nil
}

// upstreamAddress returns the host and port of a request's upstream.
func upstreamAddress(r *http.Request) string {
	if di, ok := reverseproxy.GetDialInfo(r.Context()); ok { // since with proxy_protocol the URL has the client's address in it
		return di.Address
	}
	if r.URL.Port() != "" {
		return r.URL.Host
	}
	return net.JoinHostPort(r.URL.Hostname(), map[bool]string{true: "443", false: "80"}[r.URL.Scheme == "https"])
}

// upstreamHost returns the host of a request's upstream, for its certificate.
func upstreamHost(r *http.Request) string {
	addr := upstreamAddress(r)
	if host, _, err := net.SplitHostPort(addr); err == nil {
		addr = host
	}
	return strings.Trim(addr, "[]")
}
