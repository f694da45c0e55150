package lifecycle

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

	"github.com/chatgate/chatgate/internal/gatetest"
)

// withStreams makes a gateway offer WebSockets over HTTP/2 (RFC 8441), which Go has behind a switch.
var withStreams = gatetest.Options{Env: []string{"GODEBUG=http2xconnect=1"}}

// h2 is one HTTP/2 connection to a gateway, for many WebSockets.
type h2 struct {
	g  *gatetest.Gateway
	tr *http2.Transport //nolint:staticcheck // net/http's own has no extended CONNECT
}

func dialH2(t testing.TB, g *gatetest.Gateway) *h2 {
	tr := &http2.Transport{ //nolint:staticcheck // as above
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:staticcheck // as above
	}
	t.Cleanup(tr.CloseIdleConnections) //nolint:staticcheck // as above
	return &h2{g, tr}
}

// open does an extended CONNECT.
func (c *h2) open(path, token string) (net.Conn, *bufio.Reader, error) {
	body, w := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodConnect, "https://"+c.g.HTTPS+path, body)
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

// stream makes a stream a connection, as far as a sock needs one.
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

func (*stream) LocalAddr() net.Addr                { return nil }
func (*stream) RemoteAddr() net.Addr               { return nil }
func (s *stream) SetReadDeadline(time.Time) error  { return nil }
func (s *stream) SetWriteDeadline(time.Time) error { return nil }
