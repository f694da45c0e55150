package tcpproxy

import (
	"encoding/json"
	"maps"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
	"github.com/mholt/caddy-l4/layer4"
	"github.com/mholt/caddy-l4/modules/l4subroute"
)

// Caddy agrees to h2 and http/1.1 on every port unless its operator says otherwise. Neither is spoken behind chatgate_tls, and
// a client that offers what is spoken there would be refused. So chatgate_line tells the chatgate_tls before it what to agree
// to: irc (IANA's name for it), or nothing, since lines have no such name. A client that offers nothing is always let in, and
// one that offers other names alone is refused, as RFC 7301 says: a browser whose connection was led here for an attack
// across protocols goes no further.

// The names in ALPN.
const (
	protocolIRC  = "irc"
	protocolACME = "acme-tls/1" // of a challenge for a certificate, which Caddy answers (RFC 8737)
)

// terminators are the TLS handlers that are provisioned.
var terminators struct {
	mu  sync.Mutex
	all []*TLS
}

// place is where a handler was when it was provisioned. Caddy provisions one route after the other and forgets the raw
// handlers of those that are done, which is all that is to be seen of the order from within.
type place struct {
	parent caddy.Module // what has the routes
	ahead  []ahead      // of every list of them
}

// ahead are the raw handlers of the routes of a list that are not done.
type ahead [][]json.RawMessage

func placeOf(ctx caddy.Context) place {
	all := ctx.Modules()
	if len(all) < 2 { // the handler is the last one
		return place{}
	}
	parent := all[len(all)-2]
	return place{parent, aheadIn(parent)}
}

// aheadIn returns what is not done in a module. One list is done after the other, in any order, and each is always found in the
// same place.
func aheadIn(parent caddy.Module) []ahead {
	var lists []layer4.RouteList
	switch p := parent.(type) {
	case *layer4.App:
		for _, name := range slices.Sorted(maps.Keys(p.Servers)) {
			lists = append(lists, p.Servers[name].Routes)
		}
	case *layer4.ListenerWrapper:
		lists = append(lists, p.Routes)
	case *l4subroute.Handler:
		lists = append(lists, p.Routes)
	}
	found := make([]ahead, len(lists))
	for i, routes := range lists {
		for _, route := range routes {
			if route != nil && route.HandlersRaw != nil {
				found[i] = append(found[i], route.HandlersRaw)
			}
		}
	}
	return found
}

// isBefore reports whether a connection that comes by this place can get to the chatgate_line that is being provisioned: it is
// in the same route, or in a later one of the same list, or further inside of one of these. And whether it can get to something
// else from here.
func (p place) isBefore(ctx caddy.Context) (before, shared bool) {
	if p.parent == nil || !slices.Contains(ctx.Modules(), p.parent) {
		return false, false
	}
	lists, list, open := 0, 0, false // in which routes were done since, and whether one of these has more
	for i, now := range aheadIn(p.parent) {
		if len(now) != len(p.ahead[i]) {
			lists, list, open = lists+1, i, len(now) > 0
		}
	}
	if lists != 1 {
		return lists == 0, false
	}
	_, wrapper := p.parent.(*layer4.ListenerWrapper) // behind which there are websites
	return open, wrapper || p.ahead[list].leadsElsewhere()
}

// leadsElsewhere reports whether one of the routes behind the first ends in anything but a chatgate_line.
func (a ahead) leadsElsewhere() bool {
	return slices.ContainsFunc(a[1:], func(handlers []json.RawMessage) bool {
		var last struct {
			Handler string `json:"handler"`
		}
		return len(handlers) == 0 || json.Unmarshal(handlers[len(handlers)-1], &last) != nil || last.Handler != "chatgate_line"
	})
}

// announce tells the TLS handlers before the handler that is being provisioned what is spoken there; "": what has no name.
func announce(ctx caddy.Context, protocol string) {
	terminators.mu.Lock()
	defer terminators.mu.Unlock()
	for _, t := range terminators.all {
		if before, shared := t.place.isBefore(ctx); before {
			t.agreeTo(protocol, shared)
		}
	}
}

// agreeTo adds a protocol to what clients may offer, instead of Caddy's defaults, or before them where a port is shared.
func (t *TLS) agreeTo(protocol string, shared bool) {
	if protocol != "" && !slices.Contains(t.protocols, protocol) {
		t.protocols = append(t.protocols, protocol)
	}
	t.shared = t.shared || shared
	names := append([]string{}, t.protocols...)
	if t.shared {
		names = append(names, "h2", "http/1.1")
	}
	for _, p := range t.unset {
		p.ALPN = names
		p.TLSConfig.NextProtos = append(slices.Clone(names), protocolACME) // never empty, by which any offer would be let in
	}
}

// unsetPolicies returns the policies in which an operator says nothing about ALPN. Caddy fills it in.
func unsetPolicies(policies caddytls.ConnectionPolicies) (unset caddytls.ConnectionPolicies) {
	for _, p := range policies {
		if p.ALPN == nil {
			unset = append(unset, p)
		}
	}
	return unset
}
