package streamtest

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// patience is how long a slow, loaded machine may take for a handshake.
const patience = 60 * time.Second

// HTTP2 is one connection to a gateway, for many WebSockets.
type HTTP2 struct {
	addr string
	tr   *http2.Transport //nolint:staticcheck // net/http's own has no extended CONNECT
}

// DialHTTP2 prepares a connection to localhost:port, which lasts until the test ends.
func DialHTTP2(t testing.TB, addr string) *HTTP2 {
	tr := &http2.Transport{ //nolint:staticcheck // as above
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:staticcheck // as above
	}
	t.Cleanup(tr.CloseIdleConnections) //nolint:staticcheck // as above
	return &HTTP2{addr, tr}
}

// Open opens a WebSocket with an extended CONNECT: as a visitor if token is empty, and else with the token in the first
// subprotocol.
func (c *HTTP2) Open(path, token string) (net.Conn, *bufio.Reader, error) {
	body, w := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodConnect, "https://"+c.addr+path, body)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	req.Header = http.Header{":protocol": {"websocket"}, "Sec-Websocket-Version": {"13"}}
	if token != "" {
		req.Header.Set("Sec-WebSocket-Protocol", token)
	}
	slow := time.AfterFunc(patience, cancel)
	resp, err := c.tr.RoundTrip(req) //nolint:staticcheck // as above
	slow.Stop()
	if err != nil {
		cancel()
		return nil, nil, err
	}
	if resp.StatusCode != http.StatusOK {
		cancel()
		return nil, nil, fmt.Errorf("handshake: %s", resp.Status)
	}
	s := &stream{Reader: resp.Body, w: w, cancel: cancel}
	return s, bufio.NewReader(s), nil
}

// stream makes a connection of an HTTP/2 stream. Deadlines for reading or writing alone do nothing.
type stream struct {
	io.Reader
	w      *io.PipeWriter
	cancel context.CancelFunc
	late   *time.Timer
}

func (s *stream) Write(b []byte) (int, error) { return s.w.Write(b) }

func (s *stream) Close() error {
	s.cancel()
	return s.w.CloseWithError(os.ErrClosed)
}

func (s *stream) SetDeadline(t time.Time) error {
	if s.late == nil {
		s.late = time.AfterFunc(time.Until(t), func() { _ = s.Close() })
	} else {
		s.late.Reset(time.Until(t))
	}
	return nil
}

func (*stream) LocalAddr() net.Addr              { return nil }
func (*stream) RemoteAddr() net.Addr             { return nil }
func (*stream) SetReadDeadline(time.Time) error  { return nil }
func (*stream) SetWriteDeadline(time.Time) error { return nil }
