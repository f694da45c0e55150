// Package chatroom decides what happens to a request before it is answered with a 101: whether it is a clean WebSocket
// handshake, which token it bears, which headers a client may not send, and what an upstream is told about the caller. It
// also speaks the handshake to the upstream.
//
// It knows net/http and authcore, and no Caddy. Package caddymodule finds out who is asking and where to dial; from the 101
// on, a connection belongs to package relay.
package chatroom
