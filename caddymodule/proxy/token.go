package proxy

import (
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/chatgate/chatgate/caddymodule/option"
	"github.com/chatgate/chatgate/caddymodule/syntax"
	"github.com/chatgate/chatgate/chatroom"
)

// places are where a token may be.
var places = []string{inSubprotocol, inAuthorization, inCookie, inQuery}

const (
	inSubprotocol   = "subprotocol"
	inAuthorization = "authorization"
	inCookie        = "cookie"
	inQuery         = "query"
)

// tokenOption is the option token: where our token is looked for. A token in another place is the chat's own.
func tokenOption(dst *[]string) option.Option {
	allowed := "from, then one or more of " + syntax.List(places, "and")
	return option.Func("token", allowed, func(d *caddyfile.Dispenser) error {
		args := d.RemainingArgs()
		if len(args) < 2 || args[0] != "from" {
			return d.Errf("token takes %s, such as: token from cookie", allowed)
		}
		*dst = args[1:]
		return nil
	}).Keys("token_from").Default("every place that is configured").Must(func() error {
		for i, place := range *dst {
			if !slices.Contains(places, place) {
				return option.Wrong("token", "token from %q is unknown; there are %s", place, syntax.List(places, "and"))
			}
			if slices.Contains((*dst)[:i], place) {
				return option.Wrong("token", "token from %s stands there twice; write it once", place)
			}
		}
		return nil
	}).Where(func() bool { return len(*dst) > 0 })
}

// placeRules checks the option token against those that name the cookie and the query parameter, and applies it.
func (p *Proxy) placeRules(rules *chatroom.CredentialRules) error {
	if len(p.TokenFrom) == 0 {
		return nil
	}
	in := func(place string) bool { return slices.Contains(p.TokenFrom, place) }
	for _, o := range []struct{ place, name string }{{inCookie, p.Cookie}, {inQuery, p.Query}} {
		switch {
		case in(o.place) && o.name == "":
			return option.Wrong("token", "token from %s needs the name of one; add the option %s", o.place, o.place)
		case !in(o.place) && o.name != "":
			return option.Wrong("token", "%s %s is not looked at, because token from leaves it out; add it there, or remove the option %s", o.place, o.name, o.place)
		}
	}
	rules.OthersSubprotocols, rules.OthersAuthorization = !in(inSubprotocol), !in(inAuthorization)
	return nil
}
