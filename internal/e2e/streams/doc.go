// Package streams holds the end-to-end tests of WebSockets over HTTP/2 and HTTP/3 where a stream differs from a connection:
// what ends a request must not end them.
package streams
