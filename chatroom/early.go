package chatroom

import "net/http"

// TooEarly refuses what may be a replay and changes something: a request in the early data of a connection whose
// handshake is not complete (RFC 8470), or that somebody in front of us has taken from there. Whoever recorded it can
// send it again without any key. A client repeats what is refused so, once its handshake is complete. Every HTTP handler
// of the gate asks, before it acts on a request that is its own.
func TooEarly(r *http.Request) *Refusal {
	early := r.TLS != nil && !r.TLS.HandshakeComplete
	if !early {
		_, early = r.Header["Early-Data"] // whatever its value (RFC 8470, section 5.1); it can only make things stricter
	}
	if !early || safe(r) {
		return nil
	}
	return refuse(http.StatusTooEarly, "too early: send it again when the TLS handshake is complete")
}

// safe reports whether a request changes nothing (RFC 9110, section 9.2.1). A WebSocket is opened by a GET, to be written to.
func safe(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return !mentionsWebSocket(r.Header["Upgrade"])
	}
	return false
}
