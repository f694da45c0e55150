// Package methods is the dialect of methods.txt: JSON requests over one WebSocket, each answered under its own ID.
//
// It owns a connection from the end of the handshake until it is closed. It knows net/http, authcore, chatroom and relay, and
// no Caddy. Package caddymodule judges the handshake and hands over the connection. A method on accounts becomes one call of
// authcore. Every other method belongs to the legacy chat, and is passed on to it over a second WebSocket, which is dialled
// with the identity of the logged-in user.
//
// Invariants of a connection:
//   - One goroutine reads, one works. Requests are handled in the order of their arrival, so that each is handled for the
//     user who was logged in when it was sent.
//   - It is always live under exactly one state: a visitor's, or a login's. Each state is a live connection of its own to
//     authcore, so that the end of an earlier session cannot touch a later one.
//   - The client is told of a change of its login state while the state changes, so that replies and events come in the
//     order of what happened.
//   - Nothing is queued without bound: a client that does not read is not read from.
//   - Once a login is over, nothing of its upstream reaches the client, and nothing of the client the upstream.
package methods
