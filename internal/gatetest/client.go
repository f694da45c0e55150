package gatetest

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Raw is a client that sends exact bytes.
type Raw struct {
	net.Conn
	R *bufio.Reader
	t testing.TB
}

// Dial connects over TCP, until the test ends.
func Dial(t testing.TB, addr string) *Raw {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &Raw{c, bufio.NewReader(c), t}
}

// DialTLS connects over TLS with HTTP/1.1, to a host name.
func DialTLS(t testing.TB, addr string) *Raw {
	t.Helper()
	host, _, _ := net.SplitHostPort(addr)
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", addr, &tls.Config{InsecureSkipVerify: true, ServerName: host, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &Raw{c, bufio.NewReader(c), t}
}

// Send writes exact bytes.
func (c *Raw) Send(s string) {
	c.t.Helper()
	_ = c.SetWriteDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// Response reads a response head, and the body of one that is not 101.
func (c *Raw) Response() (*http.Response, string) {
	c.t.Helper()
	resp, body, err := c.TryResponse()
	if err != nil {
		c.t.Fatalf("response: %v", err)
	}
	return resp, body
}

// TryResponse is Response for a connection that may be cut instead.
func (c *Raw) TryResponse() (*http.Response, string, error) {
	_ = c.SetReadDeadline(time.Now().Add(15 * time.Second))
	resp, err := http.ReadResponse(c.R, nil)
	if err != nil {
		return nil, "", err
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return resp, "", nil
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

// Key is a valid Sec-WebSocket-Key.
const Key = "dGhlIHNhbXBsZSBub25jZQ=="

// Handshake returns a clean opening handshake, with more header lines.
func Handshake(host, path string, more ...string) string {
	s := "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + Key + "\r\n"
	for _, m := range more {
		s += m + "\r\n"
	}
	return s + "\r\n"
}

// Open does a handshake and fails the test if it is refused.
func (c *Raw) Open(host, path string, more ...string) *http.Response {
	c.t.Helper()
	c.Send(Handshake(host, path, more...))
	resp, body := c.Response()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		c.t.Fatalf("handshake: %s %s", resp.Status, body)
	}
	return resp
}

// WebSocket connects to {{HTTP}} of a gateway with a token, or without one, in the first subprotocol.
func (g *Gateway) WebSocket(path, token string) *Raw {
	g.t.Helper()
	c := Dial(g.t, g.HTTP)
	var more []string
	if token != "" {
		more = append(more, "Sec-WebSocket-Protocol: "+token)
	}
	c.Open(g.HTTP, path, more...)
	return c
}

// Frame is a WebSocket frame.
type Frame struct {
	Fin     bool
	RSV     byte // the three bits, as in the first byte: 0x40 is RSV1
	Op      byte
	Payload []byte
}

// Text is a text message.
func Text(s string) Frame { return Frame{Fin: true, Op: 1, Payload: []byte(s)} }

// CloseCode returns the status of a close frame, or 0.
func (f Frame) CloseCode() int {
	if f.Op == 8 && len(f.Payload) >= 2 {
		return int(binary.BigEndian.Uint16(f.Payload))
	}
	return 0
}

// Encode returns the frame's bytes.
func (f Frame) Encode(masked bool) []byte {
	b := []byte{f.RSV | f.Op, 0}
	if f.Fin {
		b[0] |= 0x80
	}
	switch n := len(f.Payload); {
	case n < 126:
		b[1] = byte(n)
	case n < 1<<16:
		b[1] = 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b[1] = 127
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	if !masked {
		return append(b, f.Payload...)
	}
	b[1] |= 0x80
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b = append(b, mask[:]...)
	for i, c := range f.Payload {
		b = append(b, c^mask[i%4])
	}
	return b
}

// ReadFrame reads one frame of at most 64 MiB and takes its mask off.
func ReadFrame(r io.Reader) (Frame, error) {
	var h [8]byte
	if _, err := io.ReadFull(r, h[:2]); err != nil {
		return Frame{}, err
	}
	f := Frame{Fin: h[0]&0x80 != 0, RSV: h[0] & 0x70, Op: h[0] & 0x0f}
	masked, n := h[1]&0x80 != 0, uint64(h[1]&0x7f)
	switch n {
	case 126:
		if _, err := io.ReadFull(r, h[:2]); err != nil {
			return f, err
		}
		n = uint64(binary.BigEndian.Uint16(h[:2]))
	case 127:
		if _, err := io.ReadFull(r, h[:8]); err != nil {
			return f, err
		}
		n = binary.BigEndian.Uint64(h[:8])
	}
	if n > 64<<20 {
		return f, fmt.Errorf("a frame of %d bytes", n)
	}
	var mask [4]byte
	if masked {
		if _, err := io.ReadFull(r, mask[:]); err != nil {
			return f, err
		}
	}
	f.Payload = make([]byte, n)
	if _, err := io.ReadFull(r, f.Payload); err != nil {
		return f, err
	}
	if masked {
		for i := range f.Payload {
			f.Payload[i] ^= mask[i%4]
		}
	}
	return f, nil
}

// SendFrame writes a masked frame.
func (c *Raw) SendFrame(f Frame) {
	c.t.Helper()
	c.Send(string(f.Encode(true)))
}

// Frame reads the next frame.
func (c *Raw) Frame() Frame {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	f, err := ReadFrame(c.R)
	if err != nil {
		c.t.Fatalf("reading a frame: %v", err)
	}
	return f
}

// Echo sends a text and expects it back.
func (c *Raw) Echo(s string) {
	c.t.Helper()
	c.SendFrame(Text(s))
	if f := c.Frame(); string(f.Payload) != s {
		c.t.Fatalf("echo of %q: %+v", s, f)
	}
}

// ExpectClose reads until a close frame with that code, answers it and is done, and reads until the end of the stream.
func (c *Raw) ExpectClose(code int) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	var f Frame
	for {
		var err error
		if f, err = ReadFrame(c.R); err != nil {
			c.t.Fatalf("waiting for close %d: %v", code, err)
		}
		if f.Op != 8 {
			continue
		}
		if f.CloseCode() != code {
			c.t.Fatalf("close %d %q, want %d", f.CloseCode(), f.Payload, code)
		}
		break
	}
	_, _ = c.Write(Frame{Fin: true, Op: 8, Payload: f.Payload}.Encode(true))
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // the answer may be inside a frame that was only begun
	}
	if b, err := io.ReadAll(c.R); len(b) > 0 || err != nil && !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
		c.t.Fatalf("after the close frame: %q, %v", b, err)
	}
}
