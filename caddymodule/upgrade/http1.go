package upgrade

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/chatgate/chatgate/chatroom/relay"
)

// Hijack sends the 101 of a handshake over HTTP/1.1 and takes over the connection. It returns the bytes that were read from
// it already.
func Hijack(w http.ResponseWriter) (relay.Conn, []byte, error) {
	w.WriteHeader(http.StatusSwitchingProtocols)
	inner := Innermost(w)
	hj, ok := inner.(http.Hijacker)
	if !ok {
		return nil, nil, fmt.Errorf("a connection of %T cannot be taken over", inner)
	}
	conn, brw, err := hj.Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("taking over the connection: %w", err)
	}
	if err := errors.Join(brw.Flush(), conn.SetDeadline(time.Time{})); err != nil {
		_ = conn.Close()
		return nil, nil, fmt.Errorf("answering the handshake: %w", err)
	}
	early, err := buffered(brw.Reader)
	c, ok := conn.(relay.Conn)
	if err != nil || !ok {
		_ = conn.Close()
		return nil, nil, fmt.Errorf("a connection of type %T cannot be relayed: %w", conn, err)
	}
	return c, early, nil
}

func buffered(br *bufio.Reader) ([]byte, error) {
	n := br.Buffered()
	if n == 0 {
		return nil, nil
	}
	early := make([]byte, n)
	_, err := io.ReadFull(br, early)
	return early, err
}
