// Package tls is the layer4 handler chatgate_tls: caddy-l4's tls with a deadline, a limit and a recover. It knows nothing of
// chatgate_line but its name in a configuration. A chatgate_line asks [HadDeadline] whether a connection came by here.
//
//   - tls.go: the handler
//   - alpn.go: which protocols it agrees to
//   - place.go: what is behind it, which that depends on
package tls
