package checks

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/caddymodule/proxy"
)

// unmarkedVisitors looks for gates that let visitors write, as far as the upstream does.
func unmarkedVisitors(c *app.Configuration) []app.Finding {
	var found []app.Finding
	visit(c, visitor{handler: func(p place, h caddyhttp.MiddlewareHandler) {
		if gate, ok := h.(*proxy.Proxy); ok && gate.LeavesWritingToUpstream() {
			found = append(found, app.Finding{
				Check: "unmarked-visitors", Severity: app.SeverityWarning, Where: p.String(),
				What: fmt.Sprintf("anonymous unmarked passes on whatever visitors send to %s, and only the missing header for access tells them from members",
					strings.Join(proxy.UpstreamsOf(gate.ReverseProxy), ", ")),
				Remedy: "make sure that the chat refuses to write for requests without Remote-Access; if it does not, use anonymous read_only or refuse",
			})
		}
	}})
	return found
}
