package tcpproxy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/mholt/caddy-l4/modules/l4proxy"
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
//	    # and whatever caddy-l4's proxy takes: upstream, lb_policy, proxy_protocol, health_interval ...
//	}
//
// Options of ours are taken out, and the proxy's own parser reads what remains.
func (l *Line) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	rest, err := takeOut(d, lineOptions, l.unmarshalOption)
	if err != nil {
		return err
	}
	directive := rest[0]
	if len(rest) > 1 {
		l.Proxy = new(l4proxy.Handler)
		if err := l.Proxy.UnmarshalCaddyfile(caddyfile.NewDispenser(rest)); err != nil {
			return notOurs("chatgate_line", lineOptions, "proxy", err)
		}
	}
	if err := l.check(); err != nil {
		return wrapAt(directive, err)
	}
	return nil
}

// lineOptions are ours; every other one is the proxy's.
var lineOptions = []string{
	"first_line", "anonymous", "expiry", "token_lifetime", "line_timeout", "dial_timeout", "idle_timeout", "tries", "requests",
	"per_address", "per_account", "plaintext",
}

func (l *Line) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	var err error
	switch option {
	case "first_line":
		var text string
		if err := oneArg(d, &text); err != nil {
			return err
		}
		l.FirstLines = append(l.FirstLines, text)
		return checkTemplate(d, text)
	case "anonymous":
		err = oneOf(d, &l.Anonymous, anonymousRefuse, anonymousDrop, anonymousCut)
	case "expiry":
		err = oneOf(d, &l.Expiry, expirySession, expiryToken)
	case "token_lifetime":
		err = durationArg(d, &l.TokenLifetime)
	case "line_timeout":
		err = durationArg(d, &l.LineTimeout)
	case "dial_timeout":
		err = durationArg(d, &l.DialTimeout)
	case "idle_timeout":
		if next, ok := peek(d); ok && next == "off" {
			d.NextArg()
			l.IdleTimeout = 0
		} else {
			err = durationArg(d, &l.IdleTimeout)
		}
	case "tries":
		err = countArg(d, &l.Tries)
	case "requests":
		err = countArg(d, &l.Requests)
	case "per_address":
		err = countArg(d, &l.PerAddress)
	case "per_account":
		err = countArg(d, &l.PerAccount)
	case "plaintext":
		var word string
		err = oneOf(d, &word, "refuse", "allow")
		l.Plaintext = word == "allow"
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

// takeOut hands the options of own to read, and returns what remains of the segment at d, its name first.
func takeOut(d *caddyfile.Dispenser, own []string, read func(d *caddyfile.Dispenser, option string) error) (caddyfile.Segment, error) {
	d.Next() // the handler's name
	// The braces handed on are those of the file: made from a quoted neighbour, one would be quoted and thus no brace.
	all := d.NextSegment()
	d = caddyfile.NewDispenser(all)
	d.Next()
	var rest caddyfile.Segment
	for rest = append(rest, d.Token()); d.NextArg(); {
		rest = append(rest, d.Token())
	}
	head := len(rest)
	seen := make(map[string]bool)
	for d.NextBlock(0) {
		option := d.Val()
		if !slices.Contains(own, option) {
			if len(rest) == head {
				rest = append(rest, all[head]) // the opening brace
			}
			rest = append(rest, d.NextSegment()...)
			continue
		}
		if seen[option] && option != "first_line" {
			return nil, d.Errf("%s is there twice; keep one of them", option)
		}
		seen[option] = true
		if err := read(d, option); err != nil {
			return nil, err
		}
	}
	if len(rest) > head {
		rest = append(rest, all[len(all)-1])
	}
	return rest, nil
}

// notOurs says whose an option is that another handler does not understand: it may be one of ours, misspelt.
func notOurs(name string, own []string, other string, err error) error {
	return fmt.Errorf("%s has the options %s; of the others caddy-l4's %s says: %w", name, strings.Join(own, ", "), other, err)
}

// wrapAt says where in the Caddyfile err comes from, for an error that shows later than at its token.
func wrapAt(t caddyfile.Token, err error) error {
	d := caddyfile.NewDispenser([]caddyfile.Token{t})
	d.Next()
	return d.WrapErr(err)
}

func oneArg(d *caddyfile.Dispenser, dst *string) error {
	option := d.Val()
	args := d.RemainingArgs()
	switch {
	case len(args) == 0:
		return d.Errf("%s needs a value", option)
	case len(args) > 1:
		return d.Errf("%s takes one value, not %d; one with spaces goes into quotes", option, len(args))
	case args[0] == "":
		return d.Errf("%s is empty; give it a value, or leave it out", option)
	}
	*dst = args[0]
	return nil
}

func oneOf(d *caddyfile.Dispenser, dst *string, values ...string) error {
	option := d.Val()
	args := d.RemainingArgs()
	if len(args) != 1 || !slices.Contains(values, args[0]) {
		return d.Errf("%s is %q; it is one of %q", option, strings.Join(args, " "), values)
	}
	*dst = args[0]
	return nil
}

func countArg(d *caddyfile.Dispenser, dst *int) error {
	option := d.Val()
	var v string
	if err := oneArg(d, &v); err != nil {
		return err
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		return d.Errf("%s is %q; it is a whole number from 1 on", option, v)
	}
	*dst = n
	return nil
}

func durationArg(d *caddyfile.Dispenser, dst *caddy.Duration) error {
	option := d.Val()
	var v string
	if err := oneArg(d, &v); err != nil {
		return err
	}
	dur, err := caddy.ParseDuration(v)
	if err != nil || dur <= 0 || dur > 10*365*24*time.Hour {
		return d.Errf("%s is %q, which is no positive duration such as 10s, 15m or 30d", option, v)
	}
	*dst = caddy.Duration(dur)
	return nil
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*Line)(nil)
	_ caddyfile.Unmarshaler = (*TLS)(nil)
)
