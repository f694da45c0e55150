package checks

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/caddymodule/proxy"
)

// place is the position of a handler in a configuration.
type place struct {
	name     string // of the server
	server   *caddyhttp.Server
	matchers []string // of the enclosing routes
	hosts    string   // that the routes match
	byPath   bool     // one of the routes matches only some paths
}

// String describes the place so that an operator can find it.
func (p place) String() string {
	s := "server " + p.name + " (" + strings.Join(p.server.Listen, ", ") + ")"
	if len(p.matchers) > 0 {
		s += ", " + strings.Join(p.matchers, ", ")
	}
	return s
}

// visitor has the functions that visit calls for every list of routes and for every handler. Named routes are visited where they
// are invoked.
type visitor struct {
	list    func(place, caddyhttp.RouteList)
	handler func(place, caddyhttp.MiddlewareHandler)
}

// visit walks the routes of every server, in the order of server names.
func visit(c *app.Configuration, v visitor) {
	if c.HTTP == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(c.HTTP.Servers)) {
		w := walk{visitor: v, invoked: make(map[string]bool)}
		p := place{name: name, server: c.HTTP.Servers[name]}
		w.routes(p, p.server.Routes)
		if p.server.Errors != nil {
			p.matchers = []string{"errors"}
			w.routes(p, p.server.Errors.Routes)
		}
	}
}

type walk struct {
	visitor
	invoked map[string]bool // named routes on the way to the current one
}

func (w *walk) routes(p place, routes caddyhttp.RouteList) {
	if len(routes) == 0 {
		return
	}
	if w.list != nil {
		w.list(p, routes)
	}
	for i := range routes {
		w.route(p, &routes[i])
	}
}

func (w *walk) route(p place, r *caddyhttp.Route) {
	if m := describe(r.MatcherSets); m != "" {
		p.matchers = append(slices.Clone(p.matchers), m)
	}
	p.hosts = cmp.Or(hostsOf(r.MatcherSets), p.hosts)
	p.byPath = p.byPath || onlySomePaths(r.MatcherSets)
	for _, h := range r.Handlers {
		if w.visitor.handler != nil {
			w.visitor.handler(p, h)
		}
		w.inside(p, h)
	}
}

// inside walks the routes inside a handler.
func (w *walk) inside(p place, h caddyhttp.MiddlewareHandler) {
	responses := func(list []caddyhttp.ResponseHandler) {
		for _, r := range list {
			w.routes(p, r.Routes)
		}
	}
	switch h := h.(type) {
	case *caddyhttp.Subroute:
		w.routes(p, h.Routes)
		if h.Errors != nil {
			p.matchers = append(slices.Clone(p.matchers), "errors")
			w.routes(p, h.Errors.Routes)
		}
	case *caddyhttp.Invoke:
		r, ok := p.server.NamedRoutes[h.Name]
		if !ok || w.invoked[h.Name] {
			return
		}
		w.invoked[h.Name] = true
		p.matchers = append(slices.Clone(p.matchers), "named route "+h.Name)
		w.route(p, r)
		delete(w.invoked, h.Name)
	case *reverseproxy.Handler:
		responses(h.HandleResponse)
	case *proxy.Proxy:
		if h.ReverseProxy != nil {
			responses(h.ReverseProxy.HandleResponse)
		}
	case *intercept.Intercept:
		responses(h.HandleResponse)
	}
}

// describe returns the names of matchers, and the values of those that hold no secrets.
func describe(sets caddyhttp.MatcherSets) string {
	var alternatives []string
	for _, set := range sets {
		var all []string
		for _, m := range set {
			name := "another matcher"
			if mod, ok := m.(caddy.Module); ok {
				name = cmp.Or(mod.CaddyModule().ID.Name(), name)
			}
			switch m := m.(type) {
			case *caddyhttp.MatchPath:
				name += " " + strings.Join(*m, " ")
			case caddyhttp.MatchPath:
				name += " " + strings.Join(m, " ")
			case *caddyhttp.MatchHost:
				name += " " + strings.Join(*m, " ")
			case caddyhttp.MatchHost:
				name += " " + strings.Join(m, " ")
			case *caddyhttp.MatchMethod:
				name += " " + strings.Join(*m, " ")
			case caddyhttp.MatchMethod:
				name += " " + strings.Join(m, " ")
			}
			all = append(all, name)
		}
		slices.Sort(all)
		alternatives = append(alternatives, strings.Join(all, " and "))
	}
	return strings.Join(alternatives, " or ")
}
