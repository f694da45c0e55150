package upgrade

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/chatgate/chatgate/chatroom/relay"
)

// stream is a WebSocket inside an HTTP/2 or HTTP/3 stream (RFC 8441, RFC 9220).
type stream struct {
	body io.ReadCloser
	rd   *http.ResponseController // for read deadlines: Caddy's, since its body moves them

	mu   sync.Mutex               // guards w, which is not safe for concurrent writes
	w    http.ResponseWriter      // the innermost
	rc   *http.ResponseController // of w
	over bool

	dl       sync.Mutex // guards the deadlines
	writing  bool
	deadline time.Time
	deaf     atomic.Bool // reading has ended
}

// AcceptStream answers an extended CONNECT and returns its stream as a connection. It suspends Caddy's idle timeouts, which
// would end a quiet chat, until the returned function is called. The stream writes to the innermost writer, since Caddy's own
// is not safe for a write in one goroutine and a new deadline in another.
func AcceptStream(w http.ResponseWriter, r *http.Request) (relay.Conn, func(), error) {
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

// Read reads from the client until either side ends the stream. Ours must end it too: HTTP sends the end of a stream when the
// handler returns, which it cannot do while it reads.
func (s *stream) Read(b []byte) (int, error) {
	n, err := s.body.Read(b)
	if err != nil && s.deaf.Load() {
		err = io.EOF
	}
	return n, err
}

// Write sets the deadline only while it writes, since HTTP/2 resets a stream whose deadline passes even if nothing is written.
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

// armed sets the deadline for a write that begins, and removes it after.
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

// SetWriteDeadline applies to later writes and to one in progress.
func (s *stream) SetWriteDeadline(t time.Time) error {
	s.dl.Lock()
	defer s.dl.Unlock()
	s.deadline = t
	if !s.writing {
		return nil
	}
	return s.rc.SetWriteDeadline(t)
}

// SetReadDeadline does nothing once reading has ended.
func (s *stream) SetReadDeadline(t time.Time) error {
	s.dl.Lock()
	defer s.dl.Unlock()
	if s.deaf.Load() {
		return nil
	}
	return s.rd.SetReadDeadline(t)
}

// CloseWrite ends writing, and reading as well, so that the handler returns. Only then does HTTP send the end of the stream.
func (s *stream) CloseWrite() error {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.dl.Lock()
	defer s.dl.Unlock()
	s.deaf.Store(true)
	return s.rd.SetReadDeadline(time.Unix(1, 0))
}

// Close ends both directions.
func (s *stream) Close() error {
	_ = s.CloseWrite()
	return s.body.Close()
}
