package proxy

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/chatgate/chatgate/caddymodule/option"
	"github.com/chatgate/chatgate/caddymodule/syntax"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("chatgate_proxy", parseProxy)
	httpcaddyfile.RegisterDirectiveOrder("chatgate_proxy", httpcaddyfile.Before, "reverse_proxy")
}

func parseProxy(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	p := new(Proxy)
	if err := p.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	if err := p.ReverseProxy.FinalizeUnmarshalCaddyfile(h); err != nil {
		return nil, p.block().NotOurs("reverse_proxy", err)
	}
	return p, nil
}

// UnmarshalCaddyfile reads the directive. Syntax, with the defaults:
//
//	chatgate_proxy [<matcher>] <upstreams...> {
//	    anonymous         read_only | refuse | allow | unmarked
//	    preflights        refuse | pass
//	    bad_token         refuse | close
//	    expiry            session | token
//	    cookie            <name>
//	    origins           <origins...>
//	    query             <name>
//	    token             from [subprotocol] [authorization] [cookie] [query] # default: all that are named
//	    allow_in_path     [encoded_slash] [semicolon]
//	    max_message       16MiB | unlimited
//	    handshake_timeout 10s
//	    per_address       1024
//	    per_account       256
//	    identity {
//	        user         Remote-User | off
//	        display_name Remote-Name | off
//	        email        Remote-Email | off
//	        id           Remote-Id | off
//	        access       Remote-Access | off
//	    }
//	    strip             <names...> # one that ends in * is all that begin so
//	    keep              <names...> # one that ends in -* is all that go on with another word
//	    # and whatever reverse_proxy takes
//	}
//
// The table reads our options; reverse_proxy's own parser reads the rest.
func (p *Proxy) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	ours := p.block()
	rest, lines, err := ours.TakeOut(d.NextSegment())
	if err != nil {
		return err
	}
	probe := *p
	if err := probe.check(); err != nil {
		if wrong, ok := errors.AsType[*option.Error](err); ok {
			return lines.Blame(wrong.Option, err)
		}
		return lines.Blame("keep", err)
	}
	p.ReverseProxy = new(reverseproxy.Handler)
	if err := p.ReverseProxy.UnmarshalCaddyfile(caddyfile.NewDispenser(rest)); err != nil {
		return ours.NotOurs("reverse_proxy", err)
	}
	if len(p.ReverseProxy.Upstreams) == 0 && p.ReverseProxy.DynamicUpstreamsRaw == nil {
		return syntax.At(rest[0], errors.New("chatgate_proxy needs an upstream, such as: chatgate_proxy 127.0.0.1:9000"))
	}
	return p.checkReverseProxy(rest)
}

// checkReverseProxy says which of reverse_proxy's options is not taken, and where it is. Provision says so of JSON.
func (p *Proxy) checkReverseProxy(tokens []caddyfile.Token) error {
	var transport struct {
		Protocol string `json:"protocol"`
		reverseproxy.HTTPTransport
	}
	if raw := p.ReverseProxy.TransportRaw; raw != nil && json.Unmarshal(raw, &transport) != nil || transport.Protocol != "http" {
		transport.HTTPTransport = reverseproxy.HTTPTransport{}
	}
	name, err := refusedOption(p.ReverseProxy, &transport.HTTPTransport)
	if err == nil {
		return nil
	}
	at := slices.IndexFunc(tokens, func(t caddyfile.Token) bool { return t.Text == name })
	return syntax.At(tokens[max(at, 0)], err)
}

// block reads our options; every other one is reverse_proxy's.
func (p *Proxy) block() option.Block {
	return option.Block{Of: "chatgate_proxy", Table: p.Options(), Rule: func() error {
		probe := *p
		probe.TokenFrom = nil // which may come before the cookie and the query
		probe.Keep = nil      // which may come before the names of the identity
		return probe.check()
	}}
}
