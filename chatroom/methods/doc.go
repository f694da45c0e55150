// Package methods is the dialect of methods.txt: JSON requests over one WebSocket, each answered under its own ID.
//
// It owns a connection from the end of the handshake until it is closed, and knows http, authcore and chatroom, and no
// Caddy. Package caddymodule finds out who is asking, judges the handshake and takes the connection over. What is a
// method of accounts becomes one call on authcore; every other method is the legacy chat's, and is handed through to it
// over a WebSocket of its own, which is dialled with the identity of whoever is logged in.
//
// Invariants of a connection:
//   - One goroutine reads, one works. Requests are worked on in the order in which they came, so that whoever is logged
//     in when a request is looked at is who was when it was sent.
//   - At every moment it is live under exactly one state: a visitor's, or a login's. Each state is a live connection of
//     its own to authcore, so that the end of an earlier session cannot touch a later one.
//   - What the client is told of its login state is written while the state changes, so that the order of replies and
//     events is that of what happened.
//   - Nothing is queued without bound: who does not read is not read from.
//   - Nothing of an upstream reaches the client once its login is over, and nothing of the client the upstream.
package methods
