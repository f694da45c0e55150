package tls

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/mholt/caddy-l4/layer4"
	"github.com/mholt/caddy-l4/modules/l4subroute"
)

// place is where among the routes a chatgate_tls is. Caddy does not tell; but it provisions one route after the other, and
// forgets the raw handlers of those that are done. So a handler that is being provisioned is in the first route of its list
// that is not done. Where there are several lists, of the servers of the layer4 app, it is in the one in which a
// route with a chatgate_tls is done next.
type place struct {
	behind   []route     // of its list, its own route first; nil as long as that is not known
	websites bool        // and behind that list
	app      *layer4.App // that has the lists, of which it is not known which one it is
	ahead    [][]route   // of every one of these, what was not done when the handler was provisioned
}

// route is a route that is not done.
type route struct {
	Handlers []json.RawMessage `json:"handle"`
}

// terminators are the TLS handlers that are provisioned.
var terminators struct {
	mu  sync.Mutex
	all []*TLS
}

// enter notes where a handler is that is being provisioned.
func (t *TLS) enter(ctx caddy.Context) {
	terminators.mu.Lock()
	defer terminators.mu.Unlock()
	modules := ctx.Modules() // the handler is the last one
	for _, other := range terminators.all {
		if other.place.app != nil && slices.Contains(modules, caddy.Module(other.place.app)) {
			other.place.settle()
		}
	}
	terminators.all = append(terminators.all, t)
	if len(modules) < 2 {
		return
	}
	switch parent := modules[len(modules)-2].(type) {
	case *layer4.App:
		t.place = place{app: parent, ahead: aheadIn(parent)}
	case *layer4.ListenerWrapper:
		t.place = place{behind: aheadOf(parent.Routes), websites: true}
	case *l4subroute.Handler:
		t.place = place{behind: aheadOf(parent.Routes)}
	}
}

// leave forgets a handler.
func (t *TLS) leave() {
	terminators.mu.Lock()
	defer terminators.mu.Unlock()
	terminators.all = slices.DeleteFunc(terminators.all, func(other *TLS) bool { return other == t })
}

// leadsTo returns the ends that connections have that come by the handler. It is called when all is provisioned.
func (t *TLS) leadsTo() (e ends) {
	terminators.mu.Lock()
	defer terminators.mu.Unlock()
	t.place.settle()
	for i, r := range t.place.behind {
		handlers := r.Handlers
		if i == 0 {
			handlers = handlers[1+slices.IndexFunc(handlers, hasTLS):]
		}
		if !e.follow(handlers) && i == 0 {
			return e
		}
	}
	e.others = e.others || t.place.websites
	return e
}

// settle finds the list of a handler, unless its route is not done yet. Between two handlers that enter, no route with a
// chatgate_tls is done but the first one's.
func (p *place) settle() {
	if p.app == nil {
		return
	}
	for i, now := range aheadIn(p.app) {
		done := p.ahead[i][:len(p.ahead[i])-len(now)]
		if slices.ContainsFunc(done, func(r route) bool { return slices.ContainsFunc(r.Handlers, hasTLS) }) {
			*p = place{behind: p.ahead[i]}
			return
		}
	}
}

// hasTLS reports whether a handler is a chatgate_tls or has one inside.
func hasTLS(raw json.RawMessage) bool { return bytes.Contains(raw, []byte(`"chatgate_tls"`)) }

// aheadIn returns what is not done of every server, in a fixed order.
func aheadIn(app *layer4.App) (ahead [][]route) {
	for _, name := range slices.Sorted(maps.Keys(app.Servers)) {
		var routes layer4.RouteList
		if s := app.Servers[name]; s != nil { // null in JSON, which caddy-l4 refuses in its own way
			routes = s.Routes
		}
		ahead = append(ahead, aheadOf(routes))
	}
	return ahead
}

func aheadOf(routes layer4.RouteList) (ahead []route) {
	for _, r := range routes {
		if r != nil && r.HandlersRaw != nil {
			ahead = append(ahead, route{r.HandlersRaw})
		}
	}
	return ahead
}
