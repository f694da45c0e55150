package checks

import (
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"

	"github.com/chatgate/chatgate/caddymodule/accounts"
	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/caddymodule/methods"
)

// hiddenEndpoints looks for rewrites before the endpoints that change every path.
func hiddenEndpoints(c *app.Configuration) []app.Finding {
	var found []app.Finding
	visit(c, visitor{list: func(p place, routes caddyhttp.RouteList) {
		rewritten := false
		for _, r := range routes {
			for _, h := range r.Handlers {
				switch h.(type) {
				case *accounts.Accounts, *methods.Methods:
					if rewritten {
						found = append(found, app.Finding{
							Check: "hidden-endpoints", Severity: app.SeverityWarning, Where: p.String(),
							What:   "a rewrite before the endpoints turns their paths into the path of a page, so nobody can log in",
							Remedy: "put try_files or the rewrite into a handle block after the endpoints, together with file_server, and chatgate_proxy into another, handle /socket* { … }, because handle runs before it",
						})
						return
					}
				default:
					rewritten = rewritten || rewritesAll(r.MatcherSets, h)
				}
			}
		}
	}})
	return found
}

// rewritesAll reports whether a handler, or one of its routes, rewrites every path that is no file.
func rewritesAll(sets caddyhttp.MatcherSets, h caddyhttp.MiddlewareHandler) bool {
	switch h := h.(type) {
	case *rewrite.Rewrite:
		return takesAll(sets, h)
	case *caddyhttp.Subroute: // of handle
		return len(sets) == 0 && slices.ContainsFunc(h.Routes, func(r caddyhttp.Route) bool {
			return slices.ContainsFunc(r.Handlers, func(h caddyhttp.MiddlewareHandler) bool { return rewritesAll(r.MatcherSets, h) })
		})
	}
	return false
}

// takesAll reports whether a rewrite changes every path that is no file.
func takesAll(sets caddyhttp.MatcherSets, h *rewrite.Rewrite) bool {
	if uri := strings.TrimPrefix(h.URI, "/"); uri == "" || strings.HasPrefix(uri, "?") || strings.Contains(uri, "{http.request.") || strings.Contains(uri, "{path}") {
		return false // keeps the path, or makes the new one from it
	}
	return len(sets) == 0 || slices.ContainsFunc(sets, func(set caddyhttp.MatcherSet) bool {
		return len(set) == 1 && isFileMatcher(set[0]) || len(set) == 0
	})
}

func isFileMatcher(m any) bool {
	if not, ok := m.(*caddyhttp.MatchNot); ok { // a path that is no file
		return len(not.MatcherSets) > 0 && !slices.ContainsFunc(not.MatcherSets, func(set caddyhttp.MatcherSet) bool {
			if len(set) != 1 {
				return true
			}
			_, ok := set[0].(*fileserver.MatchFile)
			return !ok
		})
	}
	f, ok := m.(*fileserver.MatchFile)
	// If the last file is the path itself, what is rewritten is a file.
	return ok && len(f.TryFiles) > 0 && !strings.Contains(f.TryFiles[len(f.TryFiles)-1], "{http.request.")
}

// lateRefusals looks for handlers that refuse some requests but come after the endpoints, which those requests reach first.
func lateRefusals(c *app.Configuration) []app.Finding {
	var found []app.Finding
	visit(c, visitor{list: func(p place, routes caddyhttp.RouteList) {
		var ours []string // path prefixes of the endpoints so far
		for _, r := range routes {
			for _, h := range r.Handlers {
				late := slices.DeleteFunc(refusals(r.MatcherSets, h), func(set caddyhttp.MatcherSet) bool { return len(ours) == 0 || !concerns(ours, set) })
				if len(late) > 0 {
					found = append(found, app.Finding{
						Check: "late-refusal", Severity: app.SeverityWarning, Where: place{name: p.name, server: p.server, matchers: append(slices.Clone(p.matchers), describe(late))}.String(),
						What:   "a refusal for these requests comes after chatgate_accounts or chatgate_methods, which answer them first",
						Remedy: "put the refusal and the endpoints into one route block, in this order",
					})
				}
				ours = append(ours, endpoints(r.MatcherSets, h)...)
			}
		}
	}})
	return found
}

// endpoints returns the path prefixes that a handler answers itself.
func endpoints(sets caddyhttp.MatcherSets, h caddyhttp.MiddlewareHandler) (begin []string) {
	switch h := h.(type) {
	case *accounts.Accounts:
		begin = append(begin, h.Prefix+"/")
	case *methods.Methods:
		begin = append(begin, h.Paths...)
		for _, set := range sets {
			for _, m := range set {
				begin = append(begin, pathsOf(m)...)
			}
		}
	}
	return begin
}

// concerns reports whether a matcher can match requests to endpoints by who is asking, or matches only paths of endpoints.
func concerns(endpoints []string, set caddyhttp.MatcherSet) bool {
	var paths []string
	who := false
	for _, m := range set {
		switch m.(type) {
		case *caddyhttp.MatchPathRE, caddyhttp.MatchPathRE, *fileserver.MatchFile:
			return false
		}
		paths = append(paths, pathsOf(m)...)
		who = who || goesByWho(m)
	}
	if len(paths) == 0 {
		return who
	}
	return slices.ContainsFunc(paths, func(path string) bool {
		return slices.ContainsFunc(endpoints, func(e string) bool { return strings.HasPrefix(path, e) || who && strings.HasPrefix(e, path) })
	})
}

// pathsOf returns the path prefixes of a matcher.
func pathsOf(m any) []string {
	var patterns []string
	switch m := m.(type) {
	case *caddyhttp.MatchPath:
		patterns = *m
	case caddyhttp.MatchPath:
		patterns = m
	}
	var out []string
	for _, p := range patterns {
		begin, _, _ := strings.Cut(p, "*")
		out = append(out, begin)
	}
	return out
}

// goesByWho reports whether a matcher looks at more than the path.
func goesByWho(m any) bool {
	switch m := m.(type) {
	case *caddyhttp.MatchPath, caddyhttp.MatchPath, *caddyhttp.MatchPathRE, caddyhttp.MatchPathRE, *fileserver.MatchFile:
		return false
	case *caddyhttp.MatchNot:
		return slices.ContainsFunc(m.MatcherSets, func(set caddyhttp.MatcherSet) bool { return slices.ContainsFunc(set, goesByWho) })
	}
	return true
}

// refusals returns matchers of the requests that a handler answers with an error.
func refusals(sets caddyhttp.MatcherSets, h caddyhttp.MiddlewareHandler) (refused caddyhttp.MatcherSets) {
	var inner caddyhttp.MatcherSets
	if sub, ok := h.(*caddyhttp.Subroute); ok { // of handle and route
		for _, r := range sub.Routes {
			for _, h := range r.Handlers {
				inner = append(inner, refusals(r.MatcherSets, h)...)
			}
		}
	} else if refuses(h) {
		inner = caddyhttp.MatcherSets{nil} // all requests that get here
	}
	if len(sets) == 0 {
		return inner
	}
	for _, outer := range sets {
		for _, set := range inner {
			refused = append(refused, slices.Concat(outer, set))
		}
	}
	return refused
}

// refuses reports whether a handler answers every request with an error.
func refuses(h caddyhttp.MiddlewareHandler) bool {
	switch h := h.(type) {
	case *caddyhttp.StaticError:
		return true
	case *caddyhttp.StaticResponse:
		status, err := strconv.Atoi(string(h.StatusCode))
		return h.Abort || err == nil && status >= 400
	}
	return false
}
