package accounts

import (
	"net/http"
	"strings"

	"github.com/chatgate/chatgate/caddymodule/accounts/dialect"
	"github.com/chatgate/chatgate/caddymodule/endpoint"
)

// layOut fills the maps that find looks paths up in.
func (a *Accounts) layOut(routes []dialect.Route) {
	a.routes, a.named, a.spelt = make(map[string][]dialect.Route), make(map[string][]dialect.Route), endpoint.Spellings{}
	for _, rt := range routes {
		a.spelt.Add(a.Prefix + rt.Path)
		if before, ok := strings.CutSuffix(rt.Path, "{id}"); ok {
			a.named[a.Prefix+before] = append(a.named[a.Prefix+before], rt)
		} else {
			a.routes[a.Prefix+rt.Path] = append(a.routes[a.Prefix+rt.Path], rt)
		}
	}
}

// find returns the routes of a path, and the segment that matched {id}.
func (a *Accounts) find(path string) (routes []dialect.Route, id string) {
	if routes = a.routes[path]; routes != nil {
		return routes, ""
	}
	slash := strings.LastIndexByte(path, '/') + 1
	if id = path[slash:]; id != "" {
		return a.named[path[:slash]], id
	}
	return nil, ""
}

// allowed returns the methods that routes take.
func allowed(routes []dialect.Route) []string {
	var methods []string
	for _, rt := range routes {
		methods = append(methods, rt.Method)
		if rt.Method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	return methods
}

// plainID reports whether a segment of a path has the form of an id. Nothing else reaches a store.
func plainID(s string) bool {
	for i := range len(s) {
		if c := s[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '-' || c == '_') {
			return false
		}
	}
	return len(s) <= 64
}
