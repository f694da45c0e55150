package upgrade

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/chatgate/chatgate/chatroom"
	"github.com/chatgate/chatgate/chatroom/relay"
)

// PrepareAnswer completes the response header h of a successful handshake. It may hold headers of the upstream's response, of
// which it keeps none about the body or the handshake.
func PrepareAnswer(h http.Header, r *http.Request, cred chatroom.Credential, upstream http.Header) {
	for _, name := range []string{"Content-Length", "Content-Type", "Transfer-Encoding", "Sec-Websocket-Accept", "Sec-Websocket-Protocol", "Sec-Websocket-Extensions"} {
		h.Del(name)
	}
	set := func(name, value string) {
		if value != "" {
			h[name] = []string{value} //nolint:canonicalheader // spelled as in RFC 6455, which some clients require
		}
	}
	protocol := upstream.Get("Sec-Websocket-Protocol")
	if protocol == "" {
		protocol = cred.Answer
	}
	set("Sec-WebSocket-Protocol", protocol)
	set("Sec-WebSocket-Extensions", upstream.Get("Sec-Websocket-Extensions"))
	if r.Method != http.MethodConnect {
		h.Set("Upgrade", "websocket")
		h.Set("Connection", "Upgrade")
		set("Sec-WebSocket-Accept", chatroom.AcceptKey(r.Header.Get("Sec-Websocket-Key")))
	}
}

// Hijack sends the 101 and takes over the connection. It returns the bytes that were read from it already. It hijacks the
// innermost writer: a connection from Caddy's recorders must not be used after the handler has returned, since the access log
// reads their counters.
func Hijack(w http.ResponseWriter) (relay.Conn, []byte, error) {
	w.WriteHeader(http.StatusSwitchingProtocols)
	inner := innermost(w)
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

func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = u.Unwrap()
	}
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
