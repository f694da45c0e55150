package caddymodule

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/chatroom"
)

// relay takes a request whose upstream has said 101 and begins to carry its frames. Over HTTP/1.1 it returns at once,
// so that neither this handler's stack nor its configuration stay behind; a stream of HTTP/2 or 3 lives only as long
// as its handler.
func (p *Proxy) relay(w http.ResponseWriter, r *http.Request, service *authcore.Service, cred chatroom.Credential, hs *handshake) error {
	up, ok := hs.answer.Conn.(chatroom.Conn)
	if !ok {
		return caddyhttp.Error(http.StatusBadGateway, fmt.Errorf("an upstream connection of type %T cannot be half-closed", hs.answer.Conn))
	}
	holder, upstream := p.app.hold(), hs.upstream
	var relay *chatroom.Relay
	opts := chatroom.RelayOptions{ReadOnly: hs.access == chatroom.ReadOnly, OnClose: func() {
		service.Live().Release(&relay.Lease)
		upstream.done()
		_ = holder.release()
	}}
	if p.MaxMessage > 0 {
		opts.MaxMessage = uint64(p.MaxMessage)
	}
	opts.Extensions = hs.answer.Response.Header.Get("Sec-Websocket-Extensions") != ""
	relay = chatroom.NewRelay(up, hs.answer.Early, opts)
	hs.answer.Conn, hs.upstream = nil, nil // the relay's from here on

	// Live before the client hears of it: a session that ended while the upstream was asked is noticed here, and one
	// that ends from here on ends the connection.
	var err error
	if hs.id != nil {
		_, err = service.Hold(r.Context(), cred.Token, relay, &relay.Lease, p.Expiry == expiryToken)
	} else {
		err = service.HoldVisitor(relay, &relay.Lease)
	}
	if err != nil {
		relay.Abandon()
		clear(w.Header())
		p.fail(w, r, err)
		return nil
	}
	return p.switchProtocols(w, r, relay, cred, hs)
}

// switchProtocols answers the client and starts the relay.
func (p *Proxy) switchProtocols(w http.ResponseWriter, r *http.Request, relay *chatroom.Relay, cred chatroom.Credential, hs *handshake) error {
	prepareAnswer(w.Header(), r, cred, hs.answer.Response.Header)
	if r.Method == http.MethodConnect {
		stream, restore, err := acceptStream(w, r)
		if err != nil {
			relay.Abandon()
			return err
		}
		defer restore()
		relay.SetDownstream(stream, nil)
		relay.Run()
		return nil
	}
	conn, early, err := hijack(w)
	if err != nil {
		relay.Abandon()
		return err
	}
	relay.SetDownstream(conn, early)
	relay.Start()
	return nil
}

// prepareAnswer completes the header of a successful handshake, whose remains of the upstream's answer are in h.
func prepareAnswer(h http.Header, r *http.Request, cred chatroom.Credential, upstream http.Header) {
	for _, name := range []string{"Content-Length", "Content-Type", "Transfer-Encoding", "Sec-Websocket-Accept", "Sec-Websocket-Protocol", "Sec-Websocket-Extensions"} {
		h.Del(name)
	}
	set := func(name, value string) {
		if value != "" {
			h[name] = []string{value} //nolint:canonicalheader // spelled as in RFC 6455, which some clients insist on
		}
	}
	protocol := upstream.Get("Sec-Websocket-Protocol")
	if protocol == "" {
		protocol = cred.Answer
	}
	set("Sec-WebSocket-Protocol", protocol)
	set("Sec-WebSocket-Extensions", upstream.Get("Sec-Websocket-Extensions"))
	if r.Method != http.MethodConnect {
		h.Set("Upgrade", "websocket")
		h.Set("Connection", "Upgrade")
		set("Sec-WebSocket-Accept", chatroom.AcceptKey(r.Header.Get("Sec-Websocket-Key")))
	}
}

// hijack sends the 101 and takes over the connection, from the innermost writer: what Caddy's recorders return is not
// to be used once the handler has returned, since the access log reads what they count.
func hijack(w http.ResponseWriter) (chatroom.Conn, []byte, error) {
	w.WriteHeader(http.StatusSwitchingProtocols)
	inner := innermost(w)
	hj, ok := inner.(http.Hijacker)
	if !ok {
		return nil, nil, fmt.Errorf("a connection of %T cannot be taken over", inner)
	}
	conn, brw, err := hj.Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("taking over the connection: %w", err)
	}
	if err := errors.Join(brw.Flush(), conn.SetDeadline(time.Time{})); err != nil {
		_ = conn.Close()
		return nil, nil, fmt.Errorf("answering the handshake: %w", err)
	}
	early, err := buffered(brw.Reader)
	c, ok := conn.(chatroom.Conn)
	if err != nil || !ok {
		_ = conn.Close()
		return nil, nil, fmt.Errorf("a connection of type %T cannot be relayed: %w", conn, err)
	}
	return c, early, nil
}

func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = u.Unwrap()
	}
}

func buffered(br *bufio.Reader) ([]byte, error) {
	n := br.Buffered()
	if n == 0 {
		return nil, nil
	}
	early := make([]byte, n)
	_, err := io.ReadFull(br, early)
	return early, err
}

// stream is a WebSocket inside an HTTP/2 or HTTP/3 stream (RFC 8441, RFC 9220).
type stream struct {
	body io.ReadCloser
	rd   *http.ResponseController // for read deadlines, which Caddy's body would otherwise move

	mu   sync.Mutex               // over w, which is not safe for two writers
	w    http.ResponseWriter      // the innermost
	rc   *http.ResponseController // of w
	over bool

	dl       sync.Mutex // over the deadlines
	writing  bool
	deadline time.Time
	deaf     atomic.Bool // nothing more is read
}

// acceptStream answers an extended CONNECT and makes its stream a connection. restore puts the idle timeouts back,
// which would otherwise end a quiet chat. The stream writes to the innermost writer, since Caddy's, which keeps those
// timeouts, is not made for one goroutine that writes and another that moves the deadline.
func acceptStream(w http.ResponseWriter, r *http.Request) (chatroom.Conn, func(), error) {
	var undo []func()
	reader, writer := caddyhttp.IdleTimeoutsFromContext(r.Context())
	const forever = 10 * 365 * 24 * time.Hour
	if reader != nil {
		undo = append(undo, reader.Override(forever, 0))
	}
	if writer != nil {
		undo = append(undo, writer.Override(forever, 0, 0))
	}
	restore := func() {
		for _, f := range undo {
			f()
		}
	}
	w.WriteHeader(http.StatusOK)
	rc := http.NewResponseController(w)
	if err := rc.Flush(); err != nil {
		restore()
		return nil, nil, fmt.Errorf("answering the handshake: %w", err)
	}
	inner := innermost(w)
	return &stream{body: r.Body, rd: rc, w: inner, rc: http.NewResponseController(inner)}, restore, nil
}

// Read returns what the client sends, up to its end or ours: one that waits for the end of the stream cannot be told of it
// as long as the handler reads.
func (s *stream) Read(b []byte) (int, error) {
	n, err := s.body.Read(b)
	if err != nil && s.deaf.Load() {
		err = io.EOF
	}
	return n, err
}

// Write keeps the deadline only while it writes: HTTP/2 resets a stream when one passes, whether or not anybody waits
// for it.
func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return 0, net.ErrClosed
	}
	s.armed(true)
	defer s.armed(false)
	n, err := s.w.Write(b)
	if err == nil {
		err = s.rc.Flush()
	}
	return n, err
}

func (s *stream) armed(writing bool) {
	s.dl.Lock()
	defer s.dl.Unlock()
	s.writing = writing
	if writing {
		_ = s.rc.SetWriteDeadline(s.deadline)
	} else {
		_ = s.rc.SetWriteDeadline(time.Time{})
	}
}

// SetWriteDeadline is for the writes to come, and for the one under way.
func (s *stream) SetWriteDeadline(t time.Time) error {
	s.dl.Lock()
	defer s.dl.Unlock()
	s.deadline = t
	if !s.writing {
		return nil
	}
	return s.rc.SetWriteDeadline(t)
}

// SetReadDeadline does nothing once there is nothing more to be read.
func (s *stream) SetReadDeadline(t time.Time) error {
	s.dl.Lock()
	defer s.dl.Unlock()
	if s.deaf.Load() {
		return nil
	}
	return s.rd.SetReadDeadline(t)
}

// CloseWrite is as much of an end as a stream has before its handler returns. So that it does, reading ends as well.
func (s *stream) CloseWrite() error {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.dl.Lock()
	defer s.dl.Unlock()
	s.deaf.Store(true)
	return s.rd.SetReadDeadline(time.Unix(1, 0))
}

func (s *stream) Close() error {
	_ = s.CloseWrite()
	return s.body.Close()
}

// acceptAndClose completes a handshake only to say why it is refused.
func (p *Proxy) acceptAndClose(w http.ResponseWriter, r *http.Request, cred chatroom.Credential) error {
	prepareAnswer(w.Header(), r, cred, nil)
	if w.Header().Get("Sec-Websocket-Protocol") == "" {
		if offered, _ := chatroom.Subprotocols(r.Header); len(offered) > 0 {
			w.Header()["Sec-WebSocket-Protocol"] = offered[:1] //nolint:canonicalheader // as above
		}
	}
	if r.Method == http.MethodConnect {
		s, restore, err := acceptStream(w, r)
		if err != nil {
			return err
		}
		defer restore()
		chatroom.Dismiss(s, nil, chatroom.CloseSession)
		return nil
	}
	conn, early, err := hijack(w)
	if err != nil {
		return err
	}
	chatroom.Dismiss(conn, early, chatroom.CloseSession)
	return nil
}

var _ chatroom.Conn = (*tls.Conn)(nil)
