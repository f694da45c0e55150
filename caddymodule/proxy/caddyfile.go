package proxy

import (
	"errors"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/dustin/go-humanize"

	"github.com/chatgate/chatgate/caddymodule/identity"
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
		return nil, syntax.NotOurs("chatgate_proxy", ownOptions, "reverse_proxy", err)
	}
	return p, nil
}

// UnmarshalCaddyfile reads the directive. Syntax, with the defaults:
//
//	chatgate_proxy [<matcher>] <upstreams...> {
//	    anonymous         read_only | refuse | allow
//	    bad_token         refuse | close
//	    expiry            session | token
//	    cookie            <name>
//	    origins           <origins...>
//	    query             <name>
//	    max_message       16MiB | unlimited
//	    handshake_timeout 10s
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
// Options of ours are taken out, and reverse_proxy's own parser reads what remains.
func (p *Proxy) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	seen := make(syntax.Once)
	at := make(map[string]caddyfile.Token)
	rest, err := syntax.TakeOut(d.NextSegment(), ownOptions, func(d *caddyfile.Dispenser, option string) error {
		if err := seen.See(d); err != nil {
			return err
		}
		at[option] = d.Token()
		if err := p.unmarshalOption(d, option); err != nil {
			return err
		}
		probe := *p
		probe.Origins = nil // which may come before the cookie
		probe.Keep = nil    // which may come before the names of the identity
		if err := probe.check(); err != nil {
			return d.WrapErr(err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	probe := *p
	probe.Origins = nil
	if err := probe.check(); err != nil {
		return syntax.At(at["keep"], err)
	}
	probe = *p
	if err := probe.check(); err != nil {
		return syntax.At(at["origins"], err)
	}
	p.ReverseProxy = new(reverseproxy.Handler)
	if err := p.ReverseProxy.UnmarshalCaddyfile(caddyfile.NewDispenser(rest)); err != nil {
		return syntax.NotOurs("chatgate_proxy", ownOptions, "reverse_proxy", err)
	}
	if len(p.ReverseProxy.Upstreams) == 0 && p.ReverseProxy.DynamicUpstreamsRaw == nil {
		return syntax.At(rest[0], errors.New("chatgate_proxy needs an upstream, such as: chatgate_proxy 127.0.0.1:9000"))
	}
	return nil
}

// ownOptions are ours; every other one is reverse_proxy's.
var ownOptions = []string{"anonymous", "bad_token", "expiry", "cookie", "origins", "query", "max_message", "handshake_timeout", "identity", "strip", "keep"}

func (p *Proxy) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "anonymous":
		return syntax.OneOf(d, &p.Anonymous, anonymousReadOnly, anonymousRefuse, anonymousAllow)
	case "bad_token":
		return syntax.OneOf(d, &p.BadToken, badTokenRefuse, badTokenClose)
	case "expiry":
		return syntax.OneOf(d, &p.Expiry, expirySession, expiryToken)
	case "cookie":
		return syntax.One(d, &p.Cookie)
	case "origins":
		if p.Origins = d.RemainingArgs(); len(p.Origins) == 0 {
			return d.Err("origins takes at least one origin, such as https://chat.example.com")
		}
	case "query":
		return syntax.One(d, &p.Query)
	case "max_message":
		return p.unmarshalMaxMessage(d)
	case "handshake_timeout":
		return syntax.Duration(d, &p.HandshakeTimeout)
	case "identity":
		return identity.Block(d, &p.Identity)
	case "strip":
		return identity.HeaderNames(d, &p.Strip)
	case "keep":
		return identity.HeaderNames(d, &p.Keep)
	}
	return nil
}

func (p *Proxy) unmarshalMaxMessage(d *caddyfile.Dispenser) error {
	var v string
	if err := syntax.One(d, &v); err != nil {
		return err
	}
	if v == "unlimited" {
		p.MaxMessage = -1
		return nil
	}
	n, err := humanize.ParseBytes(v)
	if err != nil || n == 0 || n > 1<<40 {
		return d.Errf("max_message is %q; it is a size such as 16MiB, or unlimited", v)
	}
	p.MaxMessage = int64(n)
	return nil
}
