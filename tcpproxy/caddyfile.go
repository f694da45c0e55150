package tcpproxy

import (
	"errors"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/mholt/caddy-l4/modules/l4proxy"

	"github.com/chatgate/chatgate/caddymodule/option"
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
// The table reads our options; the proxy's own parser reads the rest.
func (l *Line) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the handler's name
	all, err := l.takeIRC(d.NextSegment())
	if err != nil {
		return err
	}
	ours := option.Block{Of: "chatgate_line", Table: l.Options(), Rule: func() error {
		probe := *l
		probe.Proxy = &l4proxy.Handler{Upstreams: l4proxy.UpstreamPool{{Dial: []string{"127.0.0.1:1"}}}} // which may still come
		return probe.check()
	}}
	rest, lines, err := ours.TakeOut(all)
	if err != nil {
		return err
	}
	directive := rest[0]
	if len(rest) > 1 {
		l.Proxy = new(l4proxy.Handler)
		if err := l.Proxy.UnmarshalCaddyfile(caddyfile.NewDispenser(rest)); err != nil {
			return ours.NotOurs("caddy-l4's proxy", err)
		}
	}
	if err := l.check(); err != nil {
		if e, ok := errors.AsType[*option.Error](err); ok {
			return lines.Blame(e.Option, err)
		}
		return syntax.At(directive, err)
	}
	return nil
}

// unmarshalFirstLine reads one more line and checks it, but for placeholders that may get a value later.
func (l *Line) unmarshalFirstLine(d *caddyfile.Dispenser) error {
	var text string
	if err := syntax.One(d, &text); err != nil {
		return err
	}
	l.FirstLines = append(l.FirstLines, text)
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
	_ option.Holder         = (*Line)(nil)
	_ option.Holder         = (*IRC)(nil)
)
