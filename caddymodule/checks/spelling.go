package checks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/chatgate/chatgate/caddymodule/accounts"
	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/caddymodule/methods"
	"github.com/chatgate/chatgate/caddymodule/proxy"
)

// spellings looks for endpoints behind a path matcher, in a site whose other paths go to a chat. A path that the matcher does not
// match but some server would take for an endpoint, such as /ws/ or /api;a/v1/login, reaches the chat with the password in its
// body.
func spellings(c *app.Configuration) []app.Finding {
	type site struct{ server, hosts string }
	chats := make(map[site]bool)
	visit(c, visitor{handler: func(p place, h caddyhttp.MiddlewareHandler) {
		switch h.(type) {
		case *proxy.Proxy, *reverseproxy.Handler:
			chats[site{p.name, p.hosts}] = chats[site{p.name, p.hosts}] || !p.byPath
		}
	}})
	var found []app.Finding
	visit(c, visitor{handler: func(p place, h caddyhttp.MiddlewareHandler) {
		switch h.(type) {
		case *accounts.Accounts, *methods.Methods:
		default:
			return
		}
		if p.byPath && chats[site{p.name, p.hosts}] {
			name := h.(caddy.Module).CaddyModule().ID.Name()
			found = append(found, app.Finding{
				Check: "spellings", Severity: app.SeverityWarning, Where: p.String(),
				What:   fmt.Sprintf("%s is behind a path matcher, so other spellings of its endpoints reach the chat, with the passwords in them", name),
				Remedy: fmt.Sprintf("put %s outside of the matcher; it passes all other requests on", name),
			})
		}
	}})
	return found
}

// onlySomePaths reports whether every set of matchers has one for some paths.
func onlySomePaths(sets caddyhttp.MatcherSets) bool {
	return len(sets) > 0 && !slices.ContainsFunc(sets, func(set caddyhttp.MatcherSet) bool {
		return !slices.ContainsFunc(set, func(m any) bool {
			switch m.(type) {
			case *caddyhttp.MatchPathRE, caddyhttp.MatchPathRE:
				return true
			}
			begin := pathsOf(m)
			return len(begin) > 0 && !slices.Contains(begin, "/") && !slices.Contains(begin, "")
		})
	})
}

// hostsOf returns the hosts that matchers name.
func hostsOf(sets caddyhttp.MatcherSets) string {
	var hosts []string
	for _, set := range sets {
		for _, m := range set {
			switch m := m.(type) {
			case *caddyhttp.MatchHost:
				hosts = append(hosts, *m...)
			case caddyhttp.MatchHost:
				hosts = append(hosts, m...)
			}
		}
	}
	return strings.Join(hosts, " ")
}
