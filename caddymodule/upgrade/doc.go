// Package upgrade answers WebSocket handshakes and takes over their connections: hijacked ones of HTTP/1.1, streams of HTTP/2
// and HTTP/3. It hands a [relay.Conn] to the caller, who owns it from then on, with the bytes that were read already.
package upgrade
