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

// AcceptStream answers an extended CONNECT and makes its stream a connection. restore puts the idle timeouts back,
// which would otherwise end a quiet chat. The stream writes to the innermost writer, since Caddy's, which keeps those
// timeouts, is not made for one goroutine that writes and another that moves the deadline.
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
