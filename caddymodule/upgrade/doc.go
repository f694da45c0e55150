// Package upgrade answers WebSocket handshakes and takes over what they came on: connections of HTTP/1.1, streams of HTTP/2
// (RFC 8441) and of HTTP/3 (RFC 9220). It hands a [relay.Conn] to the caller, who owns it from then on, with the bytes that
// were read already.
//
// What the server or other handlers allow an ordinary request ends there, whichever version it came in: no deadline for
// reading or writing, and no limit on the size of a body, is in force on what was taken over.
//
//   - upgrade.go: the answer, and who takes over
//   - http1.go, http2.go, http3.go: what is taken over
//   - keepalive.go: quiet streams of HTTP/3, which QUIC would end
package upgrade
