package upgrade

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/chatgate/chatgate/chatroom/relay"
)

// http3Stream is a WebSocket inside a stream of HTTP/3.
type http3Stream struct {
	*http3.Stream // reads, and has the deadlines, which may be moved while it reads and writes

	wrote atomic.Bool // since the keeper came by

	mu   sync.Mutex // over writing and the end of it
	over bool
}

// acceptHTTP3 answers an extended CONNECT and takes the stream over, which the handler need not outlive.
func acceptHTTP3(w http.ResponseWriter) (*http3Stream, error) {
	inner := Innermost(w)
	owner, ok := inner.(http3.HTTPStreamer)
	if !ok {
		return nil, fmt.Errorf("a stream of %T cannot be taken over", inner)
	}
	w.WriteHeader(http.StatusOK)
	if err := http.NewResponseController(w).Flush(); err != nil {
		return nil, fmt.Errorf("answering the handshake: %w", err)
	}
	s := &http3Stream{Stream: owner.HTTPStream()}
	if err := s.SetDeadline(time.Time{}); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("lifting the deadlines of the stream: %w", err)
	}
	quiet.watch(s)
	return s, nil
}

// Write writes b in a frame of its own.
func (s *http3Stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return 0, net.ErrClosed
	}
	s.wrote.Store(true)
	return s.Stream.Write(b)
}

// reserved is an empty frame of a type that everybody ignores (RFC 9114, section 7.2.8).
var reserved = []byte{0x21, 0}

// wake sends a few bytes that mean nothing, unless something was sent since the last call. It never waits.
func (s *http3Stream) wake() {
	if s.wrote.Swap(false) || !s.mu.TryLock() { // or something is being written
		return
	}
	defer s.mu.Unlock()
	if !s.over {
		_ = s.QUICStream().TryWriteAll(reserved) // where it fails, the relay will notice
	}
}

// CloseWrite sends the end of the stream. Reading goes on.
func (s *http3Stream) CloseWrite() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	quiet.forget(s)
	return s.Stream.Close()
}

// Close ends both directions.
func (s *http3Stream) Close() error {
	err := s.CloseWrite()
	s.CancelRead(quic.StreamErrorCode(http3.ErrCodeNoError))
	return err
}

var _ relay.Conn = (*http3Stream)(nil)
