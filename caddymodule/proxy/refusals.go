package proxy

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// refusedOption returns the name of an option of reverse_proxy that WebSockets could not keep here, and an error that says what
// to do instead of ignoring it. t is nil for a transport that serves no WebSockets.
func refusedOption(h *reverseproxy.Handler, t *reverseproxy.HTTPTransport) (string, error) {
	name, why := "", ""
	switch {
	case h.StreamBufferSize != 0:
		name, why = "stream_buffer_size", "a WebSocket has no buffers of a fixed size here; remove it"
	case h.StreamCloseDelay != 0:
		name, why = "stream_close_delay", "a WebSocket outlives a reload here, and ends with its session; remove it"
	case t != nil && t.MaxConnsPerHost != 0:
		name, why = "max_conns_per_host", "WebSockets would not count; use unhealthy_request_count, which counts them"
	default:
		return "", nil
	}
	return name, fmt.Errorf("chatgate_proxy takes no %s: %s", name, why)
}
