// Package identity reads the options about identity headers, for the handlers that tell an upstream who is asking. What the
// headers mean, and which of them a client may not send, is decided in package chatroom.
package identity
