// Package proxy is the HTTP handler chatgate_proxy, the gate in front of a chat: it authenticates a request, passes it on with
// identity headers, and relays WebSockets itself. Upstreams, load balancing, retries and TLS are reverse_proxy's, which runs
// inside it.
//
// Three invariants hold. An upstream gets no identity but the one that chatgate has proven. Nothing that a client does counts
// as a failure of an upstream. A relayed WebSocket ends with its session, and outlives the configuration; so does a long request.
//
//   - proxy.go: options and provisioning
//   - handshake.go: who is asking, and whether they may
//   - transport.go: the hand-over between reverse_proxy and the relay
//   - dial.go, netproxy.go: connections to upstreams, as the transport is configured to make them
//   - refusals.go: options of reverse_proxy that WebSockets could not keep
//   - blame.go: whose fault an error is
//   - relay.go: what follows a 101
//   - stream.go: requests that last, such as event streams and long polls
//   - place.go: how many of both an account or an address may have
//   - upstreams.go: WebSockets counted by upstream
//   - quic.go: those over HTTP/3, which Caddy may cut
package proxy
