package transcript

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

const linePatience = 30 * time.Second // how long a line may be waited for

// lineConn is a connection over TLS that talks lines.
type lineConn struct {
	*tls.Conn
	br *bufio.Reader
}

// dialLines opens a connection to the listener that the name begins with, until the test ends. For any other name there
// is none.
func (s *Script) dialLines(t testing.TB, name string) *lineConn {
	t.Helper()
	listener, _, ok := strings.Cut(name, ":")
	if !ok {
		return nil
	}
	if c := s.lines[name]; c != nil {
		return c
	}
	addr := s.Listeners[listener]
	if addr == "" {
		t.Fatalf("@ %s: there is no listener %s", name, listener)
	}
	config := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"} //nolint:gosec // a test's own server
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: linePatience}, "tcp", addr, config)
	if err != nil {
		t.Fatalf("@ %s: %v", name, err)
	}
	t.Cleanup(func() { c.Close() })
	s.lines[name] = &lineConn{c, bufio.NewReader(c)}
	return s.lines[name]
}

// sendLine sends a line, exact bytes, or the end of what the client has to say. It is one write, and so one TLS record if
// it is not too long for that.
func (s *Script) sendLine(where string, c *lineConn, line string) {
	s.t.Helper()
	_, text := cutRune(line)
	if text == "close" {
		if err := c.CloseWrite(); err != nil {
			s.t.Errorf("%s: %v", where, err)
		}
		return
	}
	if bytes, ok := s.unquote(line); ok {
		text = s.expand(bytes)
	} else {
		text = s.expand(text) + "\n"
	}
	_ = c.SetWriteDeadline(time.Now().Add(linePatience))
	if _, err := io.WriteString(c, text); err != nil {
		s.t.Errorf("%s: %v", where, err)
	}
}

// takeLine compares a line, exact bytes, or the end with what comes.
func (s *Script) takeLine(where string, c *lineConn, line string) {
	s.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(linePatience))
	_, want := cutRune(line)
	if want == "close" {
		if rest, err := io.ReadAll(c.br); len(rest) > 0 || err != nil {
			s.t.Errorf("%s: got %q, %v", where, rest, err)
		}
		return
	}
	if bytes, ok := s.unquote(line); ok {
		want = s.expand(bytes)
		got := make([]byte, len(want))
		if n, err := io.ReadFull(c.br, got); err != nil || string(got) != want {
			s.t.Errorf("%s: got %q, %v", where, got[:n], err)
		}
		return
	}
	got, err := c.br.ReadString('\n')
	if err != nil || !s.match(want, strings.TrimSuffix(got, "\n")) {
		s.t.Errorf("%s: got %q, %v", where, got, err)
	}
}

// unquote returns the bytes of a line that has them in quotes.
func (s *Script) unquote(line string) (bytes string, ok bool) {
	m := quoted.FindStringSubmatch(line)
	if m == nil {
		return "", false
	}
	n := 1
	if m[1] != "" {
		n, _ = strconv.Atoi(m[1])
	}
	text, err := strconv.Unquote(m[2])
	if err != nil {
		s.t.Fatalf("%s: %v", line, err)
	}
	return strings.Repeat(text, n), true
}
