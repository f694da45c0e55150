package methods

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/chatgate/chatgate/caddymodule/endpoint"
	"github.com/chatgate/chatgate/caddymodule/identity"
	"github.com/chatgate/chatgate/caddymodule/option"
	"github.com/chatgate/chatgate/caddymodule/syntax"
)

func init() {
	httpcaddyfile.RegisterDirective("chatgate_methods", parseMethods)
	httpcaddyfile.RegisterDirectiveOrder("chatgate_methods", httpcaddyfile.Before, "invoke") // as chatgate_accounts, and for its reasons
}

// defaultPath is where the endpoint is if nothing is said.
const defaultPath = "/ws"

// parseMethods is no ordinary handler directive: the paths of its matcher, or /ws, are the endpoint's own and not a matcher
// of Caddy's, to which "/ws/" is another. What else the matcher goes by stays in it.
func parseMethods(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // the directive's name
	matcher, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, err
	}
	m := new(Methods)
	if matcher == nil {
		m.Paths = []string{defaultPath}
	} else if m.Paths = literalPaths(matcher); m.Paths != nil {
		matcher = maps.Clone(matcher) // which other directives may have as well
		if delete(matcher, "path"); len(matcher) == 0 {
			matcher = nil
		}
	}
	if err := m.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return h.NewRoute(matcher, m), nil
}

// literalPaths returns the paths of a matcher, or none if any has a wildcard.
func literalPaths(matcher caddy.ModuleMap) []string {
	var paths caddyhttp.MatchPath
	if json.Unmarshal(matcher["path"], &paths) != nil || slices.ContainsFunc(paths, func(path string) bool { return !endpoint.LiteralPath(path) }) {
		return nil
	}
	return paths
}

// UnmarshalCaddyfile reads the directive. A path stands for the endpoint, with or without a slash behind it, and its case
// matters; so do the paths of a named matcher, unless one of them has a wildcard. Syntax, with the defaults:
//
//	chatgate_methods [<path> | <matcher>] { # default: /ws
//	    require_invites   off | on
//	    origins           <origins...>
//	    max_message       64KiB
//	    rate              100/1m
//	    in_flight         16
//	    login_timeout     1m | off
//	    per_address       256
//	    per_account       256
//	    upstream          <url> | <host:port>
//	    upstream_ca       <file>
//	    upstream_rate     6000/1m
//	    max_reply         1MiB
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
//	}
func (m *Methods) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if d.NextArg() {
		return d.Errf("unexpected %q; chatgate_methods takes a matcher and nothing else on its line", d.Val())
	}
	lines, err := option.Block{Of: "chatgate_methods", Table: m.Options(), Rule: m.checkSoFar}.Read(d)
	if err != nil {
		return err
	}
	if name, err := m.needUpstream(); err != nil {
		return lines.Blame(name, err)
	}
	headers, err := identity.Headers(m.Identity)
	if err == nil {
		_, err = m.newStripper(headers)
	}
	if err != nil {
		return lines.Blame("keep", err)
	}
	return nil
}

// checkSoFar judges the options that were read, but for those that may depend on one to come.
func (m *Methods) checkSoFar() error {
	probe := *m
	if syntax.HasPlaceholder(m.Upstream) { // resolved when it is used
		probe.Upstream = ""
	}
	o, err := probe.resolve(caddy.NewReplacer())
	if err != nil {
		return err
	}
	probe.Keep = nil // which may come before the names of the identity
	_, err = probe.newStripper(o.Identity)
	return err
}
