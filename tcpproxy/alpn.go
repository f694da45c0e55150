package tcpproxy

import (
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
	parent  caddy.Module // what has the routes
	waiting []int        // how many of them are not done, by list
}

func placeOf(ctx caddy.Context) place {
	all := ctx.Modules()
	if len(all) < 2 { // the handler is the last one
		return place{}
	}
	parent := all[len(all)-2]
	return place{parent, waiting(parent)}
}

// waiting returns how many routes are not done of every list that a module has. One server is done after the other, in any
// order, and each is always found in the same place.
func waiting(parent caddy.Module) []int {
	var lists []layer4.RouteList
	switch p := parent.(type) {
	case *layer4.App:
		names := make([]string, 0, len(p.Servers))
		for name := range p.Servers {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			lists = append(lists, p.Servers[name].Routes)
		}
	case *layer4.ListenerWrapper:
		lists = append(lists, p.Routes)
	case *l4subroute.Handler:
		lists = append(lists, p.Routes)
	}
	counts := make([]int, len(lists))
	for i, routes := range lists {
		for _, route := range routes {
			if route != nil && route.HandlersRaw != nil {
				counts[i]++
			}
		}
	}
	return counts
}

// isBefore reports whether a connection that comes by this place can get to the one that is being provisioned: it is in the
// same route, or in a later one of the same list, or further inside of one of these.
func (p place) isBefore(ctx caddy.Context) bool {
	if p.parent == nil || !slices.Contains(ctx.Modules(), p.parent) {
		return false
	}
	lists, open := 0, false // in which routes were done since, and whether one of these has more
	for i, n := range waiting(p.parent) {
		if n != p.waiting[i] {
			lists++
			open = n > 0
		}
	}
	return lists == 0 || lists == 1 && open
}

// announce tells the TLS handlers before the handler that is being provisioned what is spoken there; "": what has no name.
func announce(ctx caddy.Context, protocol string) {
	terminators.mu.Lock()
	defer terminators.mu.Unlock()
	for _, t := range terminators.all {
		if t.place.isBefore(ctx) {
			t.agreeTo(protocol)
		}
	}
}

// agreeTo adds a protocol to what clients may offer, instead of Caddy's defaults.
func (t *TLS) agreeTo(protocol string) {
	if protocol != "" && !slices.Contains(t.protocols, protocol) {
		t.protocols = append(t.protocols, protocol)
	}
	for _, p := range t.unset {
		p.ALPN = slices.Clone(t.protocols)
		p.TLSConfig.NextProtos = append(slices.Clone(t.protocols), protocolACME) // never empty, by which any offer would be let in
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
