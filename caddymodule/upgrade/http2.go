package upgrade

import (
	"errors"
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

// http2Stream is a WebSocket inside a stream of HTTP/2, which its handler must outlive.
type http2Stream struct {
	body io.ReadCloser

	mu   sync.Mutex               // guards w, which is not safe for concurrent writes
	w    http.ResponseWriter      // the innermost
	rc   *http.ResponseController // of w
	over bool

	dl       sync.Mutex // guards the deadlines
	writing  bool
	deadline time.Time
	deaf     atomic.Bool // reading has ended
}

// acceptHTTP2 answers an extended CONNECT. The stream writes to the innermost writer and reads the innermost body, past what
// Caddy's server, timeouts and request_body have put around them.
func acceptHTTP2(w http.ResponseWriter, r *http.Request) (*http2Stream, error) {
	w.WriteHeader(http.StatusOK)
	if err := http.NewResponseController(w).Flush(); err != nil {
		return nil, fmt.Errorf("answering the handshake: %w", err)
	}
	inner := Innermost(w)
	s := &http2Stream{body: innermostBody(r), w: inner, rc: http.NewResponseController(inner)}
	if err := errors.Join(s.rc.SetReadDeadline(time.Time{}), s.rc.SetWriteDeadline(time.Time{})); err != nil {
		return nil, fmt.Errorf("lifting the deadlines of the stream: %w", err)
	}
	return s, nil
}

// innermostBody returns the body as the server made it, inside the reader that Caddy's server puts around it first. Without
// that (read_body_idle is negative), a limit of request_body stays in force, since net/http does not give away what it reads.
func innermostBody(r *http.Request) io.ReadCloser {
	if idle, _ := caddyhttp.IdleTimeoutsFromContext(r.Context()); idle != nil {
		return idle.ReadCloser
	}
	return r.Body
}

// Read reads from the client until either side ends the stream. Ours must end it too: HTTP/2 sends the end of a stream when
// the handler returns, which it cannot do while it reads.
func (s *http2Stream) Read(b []byte) (int, error) {
	n, err := s.body.Read(b)
	switch {
	case err == nil:
	case s.deaf.Load():
		err = io.EOF
	default:
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			err = relay.ErrCut
		}
	}
	return n, err
}

// Write sets the deadline only while it writes, since HTTP/2 resets a stream whose deadline passes even if nothing is written.
func (s *http2Stream) Write(b []byte) (int, error) {
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
func (s *http2Stream) armed(writing bool) {
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
func (s *http2Stream) SetWriteDeadline(t time.Time) error {
	s.dl.Lock()
	defer s.dl.Unlock()
	s.deadline = t
	if !s.writing {
		return nil
	}
	return s.rc.SetWriteDeadline(t)
}

// SetReadDeadline does nothing once reading has ended.
func (s *http2Stream) SetReadDeadline(t time.Time) error {
	s.dl.Lock()
	defer s.dl.Unlock()
	if s.deaf.Load() {
		return nil
	}
	return s.rc.SetReadDeadline(t)
}

// CloseWrite ends writing, and reading as well, so that the handler returns. Only then does HTTP/2 send the end of the stream.
func (s *http2Stream) CloseWrite() error {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.dl.Lock()
	defer s.dl.Unlock()
	s.deaf.Store(true)
	return s.rc.SetReadDeadline(time.Unix(1, 0))
}

// Close ends both directions.
func (s *http2Stream) Close() error {
	_ = s.CloseWrite()
	return s.body.Close()
}

var _ relay.Conn = (*http2Stream)(nil)
