//go:build linux

package nodes

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// sock is an open WebSocket, read all the time.
type sock struct {
	node  *node
	token string
	conn  net.Conn
	br    *bufio.Reader
	texts chan string   // what came in messages, while there is room
	done  chan struct{} // closed when it has ended

	// After done.
	code int // of the close frame
	err  error
	at   time.Time
}

// open does a handshake. Without a 101 there is no sock; with one, the answer's body is who the upstream says it is.
func (n *node) open(token string) (s *sock, a answer) {
	return n.openUntil(token, nil)
}

// openUntil is open for a client that may go away at any moment.
func (n *node) openUntil(token string, gone <-chan struct{}) (s *sock, a answer) {
	start := time.Now()
	defer func() { a.took = time.Since(start) }()
	conn, err := net.DialTimeout("tcp", n.HTTP, patience)
	if err != nil {
		return nil, answer{err: err}
	}
	// A reset instead of an orderly end leaves no port behind in TIME_WAIT; there are many of these.
	_ = conn.(*net.TCPConn).SetLinger(0)
	if gone != nil {
		opened := make(chan struct{})
		defer close(opened)
		go func() {
			select {
			case <-gone:
				conn.Close()
			case <-opened:
			}
		}()
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	br := bufio.NewReaderSize(conn, 512)
	a = shake(conn, br, n.HTTP, token)
	if !a.ok() || a.err != nil {
		conn.Close()
		return nil, a
	}
	f, err := gatetest.ReadFrame(br)
	if err != nil || f.Op != 1 {
		conn.Close()
		// Its session may have ended in between.
		if f.CloseCode() == closeOver {
			return nil, answer{status: http.StatusUnauthorized, body: "closed at once"}
		}
		return nil, answer{status: a.status, err: fmt.Errorf("the first message: %+v, %w", f, err)}
	}
	a.body = string(f.Payload)
	_ = conn.SetDeadline(time.Time{})
	s = &sock{node: n, token: token, conn: conn, br: br, texts: make(chan string, 16), done: make(chan struct{})}
	go s.read()
	return s, a
}

// shake sends a handshake and reads its answer.
func shake(conn net.Conn, br *bufio.Reader, host, token string) answer {
	if _, err := io.WriteString(conn, gatetest.Handshake(host, path, "Sec-WebSocket-Protocol: "+token)); err != nil {
		return answer{err: err}
	}
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		return answer{err: err}
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return answer{status: resp.StatusCode}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, body: string(b), err: err}
}

// closeOver is the close code that a session which ended gives its WebSockets.
const closeOver = 4401

func (s *sock) read() {
	defer close(s.done)
	for {
		f, err := gatetest.ReadFrame(s.br)
		if err != nil || f.Op == 8 {
			s.code, s.err, s.at = f.CloseCode(), err, time.Now()
			s.conn.Close()
			return
		}
		select {
		case s.texts <- string(f.Payload):
		default:
		}
	}
}

// mustOpen opens a WebSocket until the test ends.
func (n *node) mustOpen(t testing.TB, token string) *sock {
	t.Helper()
	s, a := n.open(token)
	if s == nil {
		t.Fatalf("%s: a handshake: %v", n.name, a)
	}
	t.Cleanup(func() { s.conn.Close() })
	return s
}

// everywhere opens a WebSocket on every node.
func (c *cluster) everywhere(t testing.TB, token string) []*sock {
	t.Helper()
	var socks []*sock
	for _, n := range c.nodes {
		socks = append(socks, n.mustOpen(t, token))
	}
	return socks
}

// wantOpen fails the test unless every socket passes a message to the upstream and back.
func wantOpen(t testing.TB, socks ...*sock) {
	t.Helper()
	for _, s := range socks {
		text := fmt.Sprint("are you there? ", time.Now().UnixNano())
		_ = s.conn.SetWriteDeadline(time.Now().Add(patience))
		_, err := s.conn.Write(gatetest.Text(text).Encode(true))
		for timeout := time.After(patience); ; {
			select {
			case got := <-s.texts:
				if got != text {
					continue
				}
			case <-s.done:
				t.Fatalf("%s: a socket of a live session ended with %d, %v", s.node.name, s.code, s.err)
			case <-timeout:
				t.Fatalf("%s: a socket of a live session is silent: %v", s.node.name, err)
			}
			break
		}
	}
}

// wantClosed fails the test unless every socket is closed with 4401 soon, and returns when the last one was.
func wantClosed(t testing.TB, within time.Duration, socks ...*sock) (last time.Time) {
	t.Helper()
	timeout := time.After(within)
	for _, s := range socks {
		select {
		case <-s.done:
			if s.code != closeOver {
				t.Fatalf("%s: a socket ended with %d, %v; want %d", s.node.name, s.code, s.err, closeOver)
			}
			if s.at.After(last) {
				last = s.at
			}
		case <-timeout:
			t.Fatalf("%s: a socket of a session that is over is still open after %v", s.node.name, within)
		}
	}
	return last
}

// cancelled reports whether err is what a client sees that goes away itself.
func cancelled(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, net.ErrClosed)
}
