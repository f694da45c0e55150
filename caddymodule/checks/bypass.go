package checks

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/caddymodule/demoroom"
	"github.com/chatgate/chatgate/caddymodule/proxy"
)

// guarded returns the handlers in front of each upstream, by the upstream's normal form.
func guarded(c *app.Configuration, own map[netip.Addr]bool) map[string]string {
	by := make(map[string]map[string]bool)
	for _, g := range c.Gates {
		for _, u := range g.Upstreams {
			if normal, ok := normalAddress(u, own); ok {
				if by[normal] == nil {
					by[normal] = make(map[string]bool)
				}
				by[normal][g.Handler] = true
			}
		}
	}
	out := make(map[string]string)
	for normal, handlers := range by {
		out[normal] = strings.Join(slices.Sorted(maps.Keys(handlers)), " and ")
	}
	return out
}

// bypass looks for upstreams of a gate that a plain reverse proxy has too, php_fastcgi and forward_auth included. It would pass
// on the identity headers of clients.
func bypass(c *app.Configuration) []app.Finding {
	own := ownAddresses()
	guarded := guarded(c, own)
	if len(guarded) == 0 {
		return nil
	}
	var found []app.Finding
	visit(c, visitor{handler: func(p place, h caddyhttp.MiddlewareHandler) {
		rp, ok := h.(*reverseproxy.Handler)
		if !ok {
			return
		}
		for _, u := range proxy.UpstreamsOf(rp) {
			f := app.Finding{Check: "bypass", Severity: app.SeverityWarning, Where: p.String()}
			normal, known := normalAddress(u, own)
			gate, hit := guarded[normal]
			switch {
			case !known:
				f.Severity = app.SeverityInfo
				f.What = fmt.Sprintf("the upstream %s of a plain reverse_proxy depends on the request, so it cannot be compared with the upstreams behind the gate", u)
				f.Remedy = "make sure that it is never an upstream of chatgate_proxy, chatgate_methods or chatgate_line"
			case !hit:
				continue
			default:
				f.What = fmt.Sprintf("the upstream %s of %s is also reachable through a plain reverse_proxy, where clients can claim any identity", u, gate)
				f.Remedy = "use chatgate_proxy for this route as well (with anonymous allow to let everybody in); for PHP, make a site on 127.0.0.1 and use that as the upstream of chatgate_proxy"
			}
			found = append(found, f)
		}
	}})
	return found
}

// openUpstreams looks for upstreams of a gate that are sites of this Caddy and listen on public addresses.
func openUpstreams(c *app.Configuration) []app.Finding {
	if c.HTTP == nil {
		return nil
	}
	var found []app.Finding
	guarded := guarded(c, ownAddresses())
	for _, normal := range slices.Sorted(maps.Keys(guarded)) {
		host, port, err := net.SplitHostPort(normal)
		if err != nil || host != thisHost {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(c.HTTP.Servers)) {
			s := c.HTTP.Servers[name]
			if at, open := openTo(s.Listen, port); open {
				found = append(found, app.Finding{
					Check: "open-upstream", Severity: app.SeverityWarning, Where: place{name: name, server: s}.String(),
					What:   fmt.Sprintf("the upstream %s of %s is a site of this Caddy that listens on the public address %s, so clients can bypass the gate", normal, guarded[normal], at),
					Remedy: "add bind 127.0.0.1 to the site; a name like localhost in its address does not limit who can connect",
				})
			}
		}
	}
	return found
}

// demoRooms looks for demo rooms on public addresses.
func demoRooms(c *app.Configuration) []app.Finding {
	var found []app.Finding
	visit(c, visitor{handler: func(p place, h caddyhttp.MiddlewareHandler) {
		if _, ok := h.(*demoroom.DemoRoom); !ok {
			return
		}
		if at, open := openTo(p.server.Listen, ""); open {
			found = append(found, app.Finding{
				Check: "open-demo-room", Severity: app.SeverityWarning, Where: p.String(),
				What:   fmt.Sprintf("chatgate_demo_room trusts the identity headers of every request, and its site listens on %s, where clients can reach it", at),
				Remedy: "put it into a site of its own with bind 127.0.0.1, and use that as the upstream of chatgate_proxy",
			})
		}
	}})
	return found
}
