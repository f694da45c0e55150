// Package upstreams holds the end-to-end tests of what chatgate_proxy takes over from reverse_proxy: upstreams of every
// kind, load balancing, health, retries, headers, and requests that are no WebSockets.
package upstreams
