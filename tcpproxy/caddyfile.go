package tcpproxy

import (
	"errors"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/mholt/caddy-l4/modules/l4proxy"

	"github.com/chatgate/chatgate/caddymodule/syntax"
)

// UnmarshalCaddyfile reads the handler. Syntax, with the defaults:
//
//	chatgate_line [<upstreams...>] {
//	    first_line     <template>              # again for each more
//	    anonymous      refuse | drop | cut
//	    expiry         session | token
//	    token_lifetime 1h
//	    line_timeout   15s
//	    dial_timeout   10s
//	    idle_timeout   off | <duration>
//	    tries          3
//	    requests       16
//	    per_address    256
//	    per_account    256
//	    plaintext      refuse | allow
//	    upstream irc <address> [{ ... }]       # instead of upstream, for all of them
//	    irc {
//	        server_name   <name>
//	        webirc        <password> [<gateway>]
//	        password      <password>
//	        second_nick   number | refuse
//	    }
//	    # and whatever caddy-l4's proxy takes: upstream, lb_policy, proxy_protocol, health_interval ...
//	}
//
// Options of ours are taken out, and the proxy's own parser reads what remains.
func (l *Line) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the handler's name
	all, err := l.takeIRC(d.NextSegment())
	if err != nil {
		return err
	}
	seen := make(syntax.Once)
	rest, err := syntax.TakeOut(all, lineOptions, func(d *caddyfile.Dispenser, option string) error {
		if option != "first_line" { // of which there may be more
			if err := seen.See(d); err != nil {
				return err
			}
		}
		return l.unmarshalOption(d, option)
	})
	if err != nil {
		return err
	}
	directive := rest[0]
	if len(rest) > 1 {
		l.Proxy = new(l4proxy.Handler)
		if err := l.Proxy.UnmarshalCaddyfile(caddyfile.NewDispenser(rest)); err != nil {
			return syntax.NotOurs("chatgate_line", lineOptions, "caddy-l4's proxy", err)
		}
	}
	if err := l.check(); err != nil {
		return syntax.At(directive, err)
	}
	return nil
}

// lineOptions are ours; every other one is the proxy's.
var lineOptions = []string{
	"first_line", "anonymous", "expiry", "token_lifetime", "line_timeout", "dial_timeout", "idle_timeout", "tries", "requests",
	"per_address", "per_account", "plaintext", "irc",
}

func (l *Line) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	var err error
	switch option {
	case "first_line":
		var text string
		if err := syntax.One(d, &text); err != nil {
			return err
		}
		l.FirstLines = append(l.FirstLines, text)
		err = checkTemplate(d, text)
	case "anonymous":
		err = syntax.OneOf(d, &l.Anonymous, anonymousRefuse, anonymousDrop, anonymousCut)
	case "expiry":
		err = syntax.OneOf(d, &l.Expiry, expirySession, expiryToken)
	case "token_lifetime":
		err = syntax.Duration(d, &l.TokenLifetime)
	case "line_timeout":
		err = syntax.Duration(d, &l.LineTimeout)
	case "dial_timeout":
		err = syntax.Duration(d, &l.DialTimeout)
	case "idle_timeout":
		if next, ok := peek(d); ok && next == "off" {
			d.NextArg()
			l.IdleTimeout = 0
		} else {
			err = syntax.Duration(d, &l.IdleTimeout)
		}
	case "tries":
		err = syntax.Count(d, &l.Tries)
	case "requests":
		err = syntax.Count(d, &l.Requests)
	case "per_address":
		err = syntax.Count(d, &l.PerAddress)
	case "per_account":
		err = syntax.Count(d, &l.PerAccount)
	case "plaintext":
		var word string
		err = syntax.OneOf(d, &word, "refuse", "allow")
		l.Plaintext = word == "allow"
	case "irc":
		err = l.unmarshalIRC(d)
	}
	if err != nil {
		return err
	}
	if d.NextArg() {
		return d.Errf("unexpected %q behind %s", d.Val(), option)
	}
	probe := *l
	probe.Proxy = &l4proxy.Handler{Upstreams: l4proxy.UpstreamPool{{Dial: []string{"127.0.0.1:1"}}}} // which may still come
	if err := probe.check(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// checkTemplate finds what is wrong with a template already when it is read; what the environment has is seen later.
func checkTemplate(d *caddyfile.Dispenser, text string) error {
	if _, err := parseTemplate(text); err != nil && !errors.Is(err, errNoValue) {
		return d.Errf("first_line %q: %v", text, err)
	}
	return nil
}

func peek(d *caddyfile.Dispenser) (string, bool) {
	if !d.NextArg() {
		return "", false
	}
	defer d.Prev()
	return d.Val(), true
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*Line)(nil)
	_ caddyfile.Unmarshaler = (*TLS)(nil)
)
