// Package streamtest opens WebSockets over streams of HTTP/2 (RFC 8441) and HTTP/3 (RFC 9220), for tests of a gateway that
// is started with GODEBUG=http2xconnect=1.
package streamtest
