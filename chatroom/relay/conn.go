package relay

import (
	"crypto/tls"
	"errors"
	"io"
	"time"
)

// Conn is one side of a relay: a TCP, TLS or Unix connection, or an HTTP/2 or HTTP/3 stream.
type Conn interface {
	io.ReadWriteCloser
	CloseWrite() error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// ErrCut is what Read of a [Conn] returns if a limit that is not the relay's ends reading while the peer is still there. A
// deadline that the relay has not set ([os.ErrDeadlineExceeded]) means the same.
var ErrCut = errors.New("reading was cut off")

// breakOff half-closes c without a last word, because its peer reads nothing. Over TLS, CloseWrite would send an alert,
// for which crypto/tls takes up to five seconds whatever deadline is set.
func breakOff(c Conn) {
	if t, ok := c.(*tls.Conn); ok {
		if half, ok := t.NetConn().(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
			return
		}
	}
	_ = c.CloseWrite()
}

// hangUp closes c at once. The TLS alert went out when c was half-closed, or can no longer be sent.
func hangUp(c Conn) {
	if t, ok := c.(*tls.Conn); ok {
		_ = t.NetConn().Close()
		return
	}
	_ = c.Close()
}
