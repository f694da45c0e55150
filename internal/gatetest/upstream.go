package gatetest

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Upstream is a chat server of bare TCP: it records the exact bytes of every request head and answers by script.
type Upstream struct {
	Addr string
	ln   net.Listener

	mu    sync.Mutex
	heads []string
	conns map[net.Conn]bool
	data  []byte // what came after a handshake that was answered with 101
	serve func(c net.Conn, br *bufio.Reader, head string)
}

// NewUpstream listens on loopback until the test ends. A nil serve is [EchoWebSocket].
func NewUpstream(t testing.TB, serve func(u *Upstream, c net.Conn, br *bufio.Reader, head string)) *Upstream {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if serve == nil {
		serve = EchoWebSocket
	}
	u := &Upstream{Addr: ln.Addr().String(), ln: ln, conns: make(map[net.Conn]bool)}
	u.serve = func(c net.Conn, br *bufio.Reader, head string) { serve(u, c, br, head) }
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			u.mu.Lock()
			u.conns[c] = true
			u.mu.Unlock()
			wg.Go(func() { u.handle(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		u.CloseConns()
		wg.Wait()
	})
	return u
}

func (u *Upstream) handle(c net.Conn) {
	defer func() {
		c.Close()
		u.mu.Lock()
		delete(u.conns, c)
		u.mu.Unlock()
	}()
	br := bufio.NewReader(c)
	var head strings.Builder
	for {
		line, err := br.ReadString('\n')
		head.WriteString(line)
		if err != nil {
			return
		}
		if line == "\r\n" || line == "\n" {
			break
		}
	}
	u.mu.Lock()
	u.heads = append(u.heads, head.String())
	u.mu.Unlock()
	u.serve(c, br, head.String())
}

// CloseConns cuts every connection.
func (u *Upstream) CloseConns() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for c := range u.conns {
		c.Close()
	}
}

// Open returns how many connections there are.
func (u *Upstream) Open() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.conns)
}

// Heads returns every request head so far, in order of arrival.
func (u *Upstream) Heads() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]string(nil), u.heads...)
}

// LastHead waits for a request beyond the first n and returns it.
func (u *Upstream) LastHead(t testing.TB, n int) string {
	t.Helper()
	Eventually(t, "a request at the upstream", func() bool { return len(u.Heads()) > n })
	h := u.Heads()
	return h[len(h)-1]
}

// Data returns the bytes that were recorded after handshakes.
func (u *Upstream) Data() []byte {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]byte(nil), u.data...)
}

// Record adds to Data.
func (u *Upstream) Record(b []byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.data = append(u.data, b...)
}

// HeaderValues returns the values of a field in a recorded head, by exact bytes of the name but for case.
func HeaderValues(head, name string) []string {
	var out []string
	for _, line := range strings.Split(head, "\r\n")[1:] {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(k, name) {
			out = append(out, strings.TrimSpace(v))
		}
	}
	return out
}

// Accept returns the 101 that answers a recorded handshake, with more header lines.
func Accept(head string, more ...string) string {
	key := ""
	if k := HeaderValues(head, "Sec-WebSocket-Key"); len(k) > 0 {
		key = k[0]
	}
	h := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	s := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(h[:]) + "\r\n"
	for _, m := range more {
		s += m + "\r\n"
	}
	return s + "\r\n"
}

// EchoWebSocket answers handshakes and echoes messages, and answers anything else with 200 and "ok". It records the
// payloads of frames without their masks, and the body of any other request.
func EchoWebSocket(u *Upstream, c net.Conn, br *bufio.Reader, head string) {
	if up := HeaderValues(head, "Upgrade"); len(up) != 1 || !strings.EqualFold(up[0], "websocket") {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nok")
		// Drained, so that closing does not reset what was answered.
		_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		b, _ := io.ReadAll(br)
		u.Record(b)
		return
	}
	io.WriteString(c, Accept(head))
	for {
		f, err := ReadFrame(br)
		if err != nil {
			return
		}
		u.Record(f.Payload)
		if f.Op == 9 {
			f.Op = 10
		}
		if _, err := c.Write(f.Encode(false)); err != nil || f.Op == 8 {
			return
		}
	}
}
