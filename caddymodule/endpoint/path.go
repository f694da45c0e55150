package endpoint

import (
	"net/http"
	"path"
	"strings"
)

// LiteralPath reports whether text is a clean path other than the root, without anything that needs escaping or is a pattern.
func LiteralPath(text string) bool {
	return strings.HasPrefix(text, "/") && text != "/" && path.Clean(text) == text && !strings.ContainsAny(text, "*{}?#%;\\ ")
}

// PathOf returns the path of a request, even if its target is a scheme and a path without a host.
func PathOf(r *http.Request) string {
	if r.URL.Path == "" && r.URL.Opaque != "" {
		return "/" + r.URL.Opaque
	}
	return r.URL.Path
}

// WithoutSlash returns the path of a request without one slash at its end. It leaves an escaped slash.
func WithoutSlash(r *http.Request) string {
	path, ok := strings.CutSuffix(r.URL.Path, "/")
	if !ok || !strings.HasSuffix(r.URL.EscapedPath(), "/") {
		return r.URL.Path
	}
	return path
}
