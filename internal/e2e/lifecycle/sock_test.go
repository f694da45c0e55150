package lifecycle

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// sock is a WebSocket that talks all the time, in a goroutine of its own: a member in messages, a visitor in pings.
type sock struct {
	name   string
	member bool
	conn   net.Conn
	br     *bufio.Reader

	rounds atomic.Int64  // messages that came back as they were sent
	now    chan struct{} // has an element for each message to be sent before its time
	quit   chan struct{}
	once   sync.Once
	done   chan struct{}

	// After done.
	code  int // of the close frame that ended it
	err   error
	ended time.Time
	worst time.Duration // of a round trip
}

// patience is how long a peer may take for anything, on a machine that is busy.
const patience = 40 * time.Second

func connect(addr string, overTLS bool) (net.Conn, error) {
	d := &net.Dialer{Timeout: patience}
	if !overTLS {
		return d.Dial("tcp", addr)
	}
	host, _, _ := net.SplitHostPort(addr)
	return tls.DialWithDialer(d, "tcp", addr, &tls.Config{InsecureSkipVerify: true, ServerName: host, NextProtos: []string{"http/1.1"}})
}

// open does a handshake, as a visitor if token is empty.
func open(g *gatetest.Gateway, overTLS bool, token string) (net.Conn, *bufio.Reader, error) {
	return openAt(g, overTLS, path, token)
}

func openAt(g *gatetest.Gateway, overTLS bool, path, token string) (net.Conn, *bufio.Reader, error) {
	addr := g.HTTP
	if overTLS {
		addr = g.HTTPS
	}
	c, err := connect(addr, overTLS)
	if err != nil {
		return nil, nil, err
	}
	var more []string
	if token != "" {
		more = append(more, "Sec-WebSocket-Protocol: "+token)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	br := bufio.NewReader(c)
	if _, err = io.WriteString(c, gatetest.Handshake(addr, path, more...)); err == nil {
		var resp *http.Response
		if resp, err = http.ReadResponse(br, nil); err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
			b, _ := io.ReadAll(resp.Body)
			err = fmt.Errorf("handshake: %s %s", resp.Status, b)
		}
	}
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return c, br, nil
}

// talk opens a WebSocket and begins to talk, until the test ends.
func talk(t testing.TB, g *gatetest.Gateway, name string, overTLS bool, token string) *sock {
	t.Helper()
	c, br, err := open(g, overTLS, token)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return talkOver(t, name, token != "", c, br)
}

// talkOver is talk on a WebSocket that is open already.
func talkOver(t testing.TB, name string, member bool, c net.Conn, br *bufio.Reader) *sock {
	s := &sock{name: name, member: member, conn: c, br: br, now: make(chan struct{}, 2), quit: make(chan struct{}), done: make(chan struct{})}
	go s.run()
	t.Cleanup(func() {
		s.stop()
		<-s.done
		s.conn.Close()
	})
	return s
}

func (s *sock) stop() { s.once.Do(func() { close(s.quit) }) }

func (s *sock) run() {
	defer close(s.done)
	s.code, s.err = s.rally()
	s.ended = time.Now()
	if s.code != 0 { // as a good peer does
		_, _ = s.conn.Write(gatetest.Frame{Fin: true, Op: 8, Payload: []byte{3, 232}}.Encode(true))
		// A connection or stream that is reset after the frame, because our answer to it took too long, has said all.
		b, err := io.ReadAll(s.br)
		if len(b) > 0 || err != nil && !strings.Contains(err.Error(), "reset") && !strings.Contains(err.Error(), "stream error") {
			s.err = fmt.Errorf("after the close frame: %q, %w", b, err)
		}
	}
}

// rally sends and compares until something else comes back, or stop.
func (s *sock) rally() (code int, err error) {
	every := 80*time.Millisecond + time.Duration(rand.IntN(40))*time.Millisecond
	if !s.member { // a visitor may ping once a second, and 64 times in advance, which alive uses
		every += 2 * time.Second
	}
	pace := time.NewTicker(every)
	defer pace.Stop()
	for {
		n := s.rounds.Load()
		f := gatetest.Frame{Fin: true, Op: 9, Payload: []byte(fmt.Sprintf("%s %d", s.name, n))}
		want := byte(10)
		if s.member {
			f.Op, want = 1, 1
			f.Payload = append(f.Payload, strings.Repeat("x", int(n*37%900))...)
		}
		start := time.Now()
		_ = s.conn.SetDeadline(start.Add(patience))
		if _, err := s.conn.Write(f.Encode(true)); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			// The close frame may be there to be read.
			if got, rerr := gatetest.ReadFrame(s.br); rerr == nil && got.Op == 8 {
				return got.CloseCode(), nil
			}
			return 0, err
		}
		got, err := gatetest.ReadFrame(s.br)
		switch {
		case err != nil:
			return 0, fmt.Errorf("after %d messages: %w", n, err)
		case got.Op == 8:
			return got.CloseCode(), nil
		case got.Op != want || string(got.Payload) != string(f.Payload):
			return 0, fmt.Errorf("message %d came back altered: %+v", n, got)
		}
		s.worst = max(s.worst, time.Since(start))
		s.rounds.Add(1)
		select {
		case <-s.quit:
			return 0, nil
		case <-pace.C:
		case <-s.now:
		}
	}
}

// alive fails the test unless every socket gets another two messages through.
func alive(t testing.TB, socks []*sock) {
	t.Helper()
	before := make([]int64, len(socks))
	for i, s := range socks {
		before[i] = s.rounds.Load()
		for range cap(s.now) {
			select {
			case s.now <- struct{}{}:
			default: // it has been asked for as many already
			}
		}
	}
	deadline := time.After(patience)
	for i, s := range socks {
		for s.rounds.Load() < before[i]+2 {
			select {
			case <-s.done:
				t.Fatalf("%s ended: close %d, %v", s.name, s.code, s.err)
			case <-deadline:
				t.Fatalf("%s is silent", s.name)
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
}

// closedWith fails the test unless every socket is closed with that code.
func closedWith(t testing.TB, socks []*sock, code int) {
	t.Helper()
	deadline := time.After(patience)
	for _, s := range socks {
		select {
		case <-s.done:
			if s.code != code || s.err != nil {
				t.Fatalf("%s: close %d, %v; want %d", s.name, s.code, s.err, code)
			}
		case <-deadline:
			t.Fatalf("%s is still open; want it closed with %d", s.name, code)
		}
	}
}

// hangUp ends sockets from the client's side.
func hangUp(t testing.TB, socks []*sock) {
	t.Helper()
	for _, s := range socks {
		s.stop()
	}
	for _, s := range socks {
		<-s.done
		if s.err != nil {
			t.Errorf("%s: %v", s.name, s.err)
		}
		s.conn.Close()
	}
}

func rounds(socks []*sock) (n int64) {
	for _, s := range socks {
		n += s.rounds.Load()
	}
	return n
}
