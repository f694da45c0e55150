package chatroom

import "net/http"

// TooEarly refuses a request that may be a replay and changes something: one in the early data of a connection whose TLS
// handshake is not complete, or that a proxy in front of us has read there (RFC 8470). Anyone who recorded it can send it
// again without a key. A client repeats the refused request once its handshake is complete. Every HTTP handler of ours calls
// this before it acts on a request.
func TooEarly(r *http.Request) *Refusal {
	early := r.TLS != nil && !r.TLS.HandshakeComplete
	if !early {
		_, early = r.Header["Early-Data"] // with any value (RFC 8470, section 5.1); it only makes us stricter
	}
	if !early || safe(r) {
		return nil
	}
	return refuse(http.StatusTooEarly, "too early: send it again when the TLS handshake is complete")
}

// safe reports whether a request changes nothing (RFC 9110, section 9.2.1). A WebSocket handshake is a GET, but its client
// can write.
func safe(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return !mentionsWebSocket(r.Header["Upgrade"])
	}
	return false
}
