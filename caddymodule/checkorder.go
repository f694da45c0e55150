package caddymodule

import (
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// checkHiddenEndpoints looks for rewrites that come before the endpoints and leave no path for them.
func checkHiddenEndpoints(c *Configuration) []Finding {
	var found []Finding
	c.visit(visitor{list: func(p place, routes caddyhttp.RouteList) {
		rewritten := false
		for _, r := range routes {
			for _, h := range r.Handlers {
				switch h := h.(type) {
				case *rewrite.Rewrite:
					rewritten = rewritten || takesAll(r.MatcherSets, h)
				case *Accounts, *Methods:
					if rewritten {
						found = append(found, Finding{
							Check: "hidden-endpoints", Severity: SeverityWarning, Where: p.String(),
							What:   "a rewrite comes before the endpoints and turns their paths into that of a page, so that nobody can log in",
							Remedy: "put try_files or the rewrite into a handle block, together with file_server",
						})
						return
					}
				}
			}
		}
	}})
	return found
}

// takesAll reports whether a rewrite makes another path of every one that is no file.
func takesAll(sets caddyhttp.MatcherSets, h *rewrite.Rewrite) bool {
	if uri := strings.TrimPrefix(h.URI, "/"); uri == "" || strings.HasPrefix(uri, "?") || strings.Contains(uri, "{http.request.") || strings.Contains(uri, "{path}") {
		return false // the path stays, or what becomes of it depends on it
	}
	return len(sets) == 0 || slices.ContainsFunc(sets, func(set caddyhttp.MatcherSet) bool {
		return len(set) == 1 && isFileMatcher(set[0]) || len(set) == 0
	})
}

func isFileMatcher(m any) bool {
	f, ok := m.(*fileserver.MatchFile)
	// Of one file, the path itself, what is rewritten is there.
	return ok && len(f.TryFiles) > 0 && !strings.Contains(f.TryFiles[len(f.TryFiles)-1], "{http.request.")
}

// checkLateRefusals looks for what refuses some requests and comes behind the endpoints, which those reach all the same.
func checkLateRefusals(c *Configuration) []Finding {
	var found []Finding
	c.visit(visitor{list: func(p place, routes caddyhttp.RouteList) {
		var ours []string // beginnings of the endpoints' paths so far
		for _, r := range routes {
			if len(ours) > 0 && refuses(r) && (len(r.MatcherSets) > 0 && slices.ContainsFunc(r.MatcherSets, concerns(ours))) {
				found = append(found, Finding{
					Check: "late-refusal", Severity: SeverityWarning, Where: place{p.name, p.server, append(slices.Clone(p.matchers), describe(r.MatcherSets))}.String(),
					What:   "what is refused here has passed chatgate_accounts or chatgate_methods before, so that it reaches the endpoints all the same",
					Remedy: "put the refusal and the endpoints into a route block, in this order",
				})
			}
			ours = append(ours, endpoints(r)...)
		}
	}})
	return found
}

// endpoints returns what the paths begin with that a route answers itself.
func endpoints(r caddyhttp.Route) (begin []string) {
	for _, h := range r.Handlers {
		switch h := h.(type) {
		case *Accounts:
			begin = append(begin, h.Prefix+"/")
		case *Methods:
			if h.Path != "" {
				begin = append(begin, h.Path)
			}
			for _, set := range r.MatcherSets {
				for _, m := range set {
					begin = append(begin, pathsOf(m)...)
				}
			}
		}
	}
	return begin
}

// concerns returns whether matchers go by who is asking, for paths that can be those of endpoints; or by nothing but the
// paths of endpoints.
func concerns(endpoints []string) func(caddyhttp.MatcherSet) bool {
	return func(set caddyhttp.MatcherSet) bool {
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
}

// pathsOf returns what the paths of a matcher begin with.
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

// goesByWho reports whether a matcher looks at something else than the path.
func goesByWho(m any) bool {
	switch m := m.(type) {
	case *caddyhttp.MatchPath, caddyhttp.MatchPath, *caddyhttp.MatchPathRE, caddyhttp.MatchPathRE, *fileserver.MatchFile:
		return false
	case *caddyhttp.MatchNot:
		return slices.ContainsFunc(m.MatcherSets, func(set caddyhttp.MatcherSet) bool { return slices.ContainsFunc(set, goesByWho) })
	}
	return true
}

// refuses reports whether a route answers with an error.
func refuses(r caddyhttp.Route) bool {
	return slices.ContainsFunc(r.Handlers, func(h caddyhttp.MiddlewareHandler) bool {
		switch h := h.(type) {
		case *caddyhttp.StaticError:
			return true
		case *caddyhttp.StaticResponse:
			status, err := strconv.Atoi(string(h.StatusCode))
			return h.Abort || err == nil && status >= 400
		case *caddyhttp.Subroute: // of handle
			return len(h.Routes) > 0 && !slices.ContainsFunc(h.Routes, func(r caddyhttp.Route) bool { return !refuses(r) })
		}
		return false
	})
}
