package proxy

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/chatgate/chatgate/chatroom"
)

// gateTransport is the transport of the reverse proxy. A request gets here after upstream selection, rewrites and header
// operations, so nothing can change the identity headers that are set here. It also takes WebSockets from the reverse proxy.
type gateTransport struct {
	headers chatroom.IdentityHeaders
	inner   http.RoundTripper
	http    *reverseproxy.HTTPTransport // inner, if it is one; WebSockets need it
	timeout time.Duration               // for a handshake
}

// provisionTransport wraps the configured transport, or the default one, in a gateTransport.
func (p *Proxy) provisionTransport(ctx caddy.Context) error {
	rp := p.ReverseProxy
	gate := &gateTransport{headers: p.headers, timeout: time.Duration(p.HandshakeTimeout)}
	if rp.TransportRaw == nil {
		gate.http = new(reverseproxy.HTTPTransport)
		if err := gate.http.Provision(ctx); err != nil {
			return fmt.Errorf("provisioning the default transport: %w", err)
		}
		gate.inner = gate.http
	} else {
		mod, err := ctx.LoadModule(rp, "TransportRaw")
		if err != nil {
			return fmt.Errorf("loading the transport: %w", err)
		}
		rp.TransportRaw = nil
		gate.inner = mod.(http.RoundTripper)
		gate.http, _ = mod.(*reverseproxy.HTTPTransport)
	}
	if bt, ok := gate.inner.(reverseproxy.BufferedTransport); ok {
		requests, responses := bt.DefaultBufferSizes()
		rp.RequestBuffers = cmp.Or(rp.RequestBuffers, requests)
		rp.ResponseBuffers = cmp.Or(rp.ResponseBuffers, responses)
	}
	rp.Transport = gate
	p.gate = gate
	return nil
}

// The optional interfaces of a transport are passed on to the inner one.

// RequestHeaderOps implements reverseproxy.RequestHeaderOpsTransport.
func (t *gateTransport) RequestHeaderOps() *headers.HeaderOps {
	if in, ok := t.inner.(reverseproxy.RequestHeaderOpsTransport); ok {
		return in.RequestHeaderOps()
	}
	return nil
}

// OverrideHealthCheckScheme implements reverseproxy.HealthCheckSchemeOverriderTransport.
func (t *gateTransport) OverrideHealthCheckScheme(base *url.URL, port string) {
	if in, ok := t.inner.(reverseproxy.HealthCheckSchemeOverriderTransport); ok {
		in.OverrideHealthCheckScheme(base, port)
	}
}

// ProxyProtocolEnabled implements reverseproxy.ProxyProtocolTransport.
func (t *gateTransport) ProxyProtocolEnabled() bool {
	in, ok := t.inner.(reverseproxy.ProxyProtocolTransport)
	return ok && in.ProxyProtocolEnabled()
}

// RequiresContentLength implements reverseproxy.ContentLengthRequiredTransport.
func (t *gateTransport) RequiresContentLength() bool {
	in, ok := t.inner.(reverseproxy.ContentLengthRequiredTransport)
	return ok && in.RequiresContentLength()
}

// RoundTrip implements http.RoundTripper.
func (t *gateTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	hs, ok := r.Context().Value(handshakeKey{}).(*handshake)
	if !ok { // a health check: every request of a client has a handshake
		return t.inner.RoundTrip(r)
	}
	t.headers.Set(r.Header, hs.id, hs.access)
	hs.fault = nil
	if !hs.websocket {
		return t.forward(r, hs)
	}
	resp, err := t.upgrade(r, hs)
	if err != nil {
		return nil, hs.blame(r, nil, err)
	}
	return resp, nil
}

// forward passes an ordinary request on.
func (t *gateTransport) forward(r *http.Request, hs *handshake) (*http.Response, error) {
	body := watch(r)
	defer func() { hs.uploaded = hs.uploaded || body.touched() }()
	resp, err := t.inner.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusSwitchingProtocols {
		// The reverse proxy would open a tunnel for a 101 that nobody asked for.
		_ = resp.Body.Close()
		err = &chatroom.Refusal{Status: http.StatusBadGateway, Msg: "the upstream switched protocols unasked"}
	}
	if err == nil {
		if err = hs.stream.answered(resp, t.http != nil); err != nil {
			_ = resp.Body.Close()
		}
	}
	if over := hs.stream.ended(); over != nil && err != nil {
		err = over
	}
	if err != nil {
		return nil, hs.blame(r, body, err)
	}
	return resp, nil
}

// upgrade does the WebSocket handshake with the upstream. For a 101 it returns a response without a status: the reverse proxy
// would open a tunnel for a 101 itself, and handle_response would handle any other status. The reverse proxy copies the headers
// of that response, and gateWriter drops what it writes.
func (t *gateTransport) upgrade(r *http.Request, hs *handshake) (*http.Response, error) {
	hs.hangUp() // the connection of an earlier attempt
	opening, ref := chatroom.NewOpening(r)
	if ref != nil {
		return nil, ref
	}
	conn, err := t.dial(r)
	if err != nil {
		return nil, err
	}
	answer, err := opening.Ask(r.Context(), conn, t.patience())
	if err != nil && !slices.Contains(t.http.Versions, "1.1") { // the only version that the handshake is done in
		err = &chatroom.Refusal{Status: http.StatusBadGateway, Msg: "the upstream takes no WebSockets: its transport has no version 1.1"}
	}
	if err != nil {
		return nil, err
	}
	if answer.Conn == nil {
		return answer.Response, nil
	}
	hs.answer = answer
	if di, ok := reverseproxy.GetDialInfo(r.Context()); ok {
		hs.upstream = liveUpstreams.add(di.Upstream)
	}
	resp := *answer.Response
	resp.StatusCode, resp.Status, resp.ContentLength = 0, "", 0
	resp.Body = io.NopCloser(bytes.NewReader(nil))
	return &resp, nil
}

// drop ends what a request holds, but for what the relay of a WebSocket owns.
func (hs *handshake) drop() {
	if hs.stream != nil {
		hs.stream.finish()
	}
	hs.place.leave()
	hs.hangUp()
}

// hangUp closes the upstream connection, if the handshake still has one.
func (hs *handshake) hangUp() {
	if hs.answer.Conn == nil {
		return
	}
	_ = hs.answer.Conn.Close()
	hs.upstream.done()
	hs.answer, hs.upstream = chatroom.Answer{}, nil
}

// gateWriter drops what the reverse proxy writes once the gate answers itself: after a 101, when only the header is wanted, and
// after a fault that is no upstream's, when the reverse proxy writes a 499. It notes whether the client has got an answer.
type gateWriter struct {
	http.ResponseWriter
	hs    *handshake
	begun bool // the answer has begun
}

func (w *gateWriter) muted() bool { return w.hs.answer.Conn != nil || w.hs.fault != nil }

func (w *gateWriter) WriteHeader(status int) {
	if !w.muted() {
		w.begun = w.begun || status >= http.StatusOK
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *gateWriter) Write(b []byte) (int, error) {
	if w.muted() {
		return len(b), nil
	}
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// FlushError implements the interface of http.ResponseController.
func (w *gateWriter) FlushError() error {
	if w.muted() {
		return nil
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap implements the interface of http.ResponseController.
func (w *gateWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
