package upgrade

import (
	"net/http"

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

// Accepted is what a handshake came on.
type Accepted struct {
	Conn  relay.Conn
	Early []byte // was read from Conn already
	Bound bool   // Conn lives only as long as the handler, which must not return before both sides are done with it
}

// Accept sends the answer that [PrepareAnswer] has prepared to r, with status 101 or 200, and takes over what r came on. It
// takes it from the innermost writer: what Caddy's recorders return must not be used after the handler has returned, since
// the access log reads their counters.
func Accept(w http.ResponseWriter, r *http.Request) (Accepted, error) {
	switch {
	case r.Method != http.MethodConnect:
		conn, early, err := Hijack(w)
		return Accepted{Conn: conn, Early: early}, err
	case r.ProtoMajor == 2:
		conn, err := acceptHTTP2(w, r)
		return Accepted{Conn: conn, Bound: true}, err
	default:
		conn, err := acceptHTTP3(w)
		return Accepted{Conn: conn}, err
	}
}

// Innermost returns the server's own writer of an answer. Unlike those that handlers wrap around it, it takes deadlines from
// any goroutine.
func Innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = u.Unwrap()
	}
}
