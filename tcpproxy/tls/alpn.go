package tls

import (
	"encoding/json"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddytls"
)

// Caddy agrees to h2 and http/1.1 on every port unless its operator says otherwise. Neither is spoken behind chatgate_tls, and
// a client that offers what is spoken there would be refused. So chatgate_tls looks at what it leads to: it agrees to irc
// (IANA's name for it), or to nothing, since lines have no such name. A client that offers nothing is always let in, and
// one that offers other names alone is refused, as RFC 7301 says: a browser whose connection was led here for an attack
// across protocols goes no further.

// The names in ALPN.
const (
	protocolIRC  = "irc"
	protocolACME = "acme-tls/1" // of a challenge for a certificate, which Caddy answers (RFC 8737)
)

// ends are what connections can get to.
type ends struct {
	gate   bool // a chatgate_line
	irc    bool // that speaks IRC
	others bool // something else, which may be websites
}

// handler is what is to be known of a handler of layer4.
type handler struct {
	Name   string          `json:"handler"`
	IRC    json.RawMessage `json:"irc"`    // of a chatgate_line
	Routes []route         `json:"routes"` // of a subroute
}

// follow adds the ends of a route's handlers and reports whether a connection may go on behind them, to the next route.
func (e *ends) follow(handlers []json.RawMessage) (on bool) {
	for i, raw := range handlers {
		var h handler
		if json.Unmarshal(raw, &h) != nil {
			h.Name = "" // another's handler
		}
		switch h.Name {
		case "chatgate_line":
			e.gate = true
			e.irc = e.irc || len(h.IRC) > 0 && string(h.IRC) != "null"
			return false
		case "subroute":
			for _, r := range h.Routes {
				e.follow(r.Handlers)
			}
		case "chatgate_tls", "tls", "proxy_protocol", "tee", "throttle", "vars": // which pass connections on
		case "close":
			return false
		default:
			if i == len(handlers)-1 {
				e.others = true
				return false
			}
		}
	}
	return true
}

// agree sets what clients may offer, instead of Caddy's defaults, or before them where the port is shared with others.
func (t *TLS) agree(e ends) {
	if !e.gate {
		return
	}
	names := []string{}
	if e.irc {
		names = append(names, protocolIRC)
	}
	if e.others {
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
