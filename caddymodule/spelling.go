package caddymodule

import (
	"net/http"
	"net/url"
	"path"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// foldPath returns what the laxest server takes a path for: letters without their case and width, escapes decoded as
// often as they can be, a backslash for a slash, without parameters, and without the slashes, dots, spaces and control
// characters that mean nothing to one server or another. It says what to keep from a chat, not what to serve.
func foldPath(p string) string {
	if foldedAlready(p) {
		return p
	}
	for range 4 {
		decoded := unescape(p)
		if decoded == p {
			break
		}
		p = decoded
	}
	p = strings.Map(foldRune, norm.NFKC.String(p))
	if end := strings.IndexAny(p, "?#\x00"); end >= 0 {
		p = p[:end]
	}
	var kept []string
	for segment := range strings.SplitSeq(p, "/") {
		segment, _, _ = strings.Cut(segment, ";")
		switch {
		case segment == "..":
			kept = kept[:max(0, len(kept)-1)]
		default:
			if segment = strings.TrimRight(segment, "."); segment != "" {
				kept = append(kept, segment)
			}
		}
	}
	return "/" + strings.Join(kept, "/")
}

// literalPath reports whether text is a path below the root that stands for itself.
func literalPath(text string) bool {
	return strings.HasPrefix(text, "/") && text != "/" && path.Clean(text) == text && !strings.ContainsAny(text, "*{}?#%;\\ ")
}

// foldedAlready knows most paths that fold to themselves without making another.
func foldedAlready(path string) bool {
	before := byte('a')
	for i := range len(path) {
		switch c := path[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		case c == '/' && (i == 0 || before != '/' && before != '.'):
		case c == '.' && before != '/' && before != '.':
		default:
			return false
		}
		before = path[i]
	}
	return len(path) > 1 && path[0] == '/' && before != '/' && before != '.'
}

func foldRune(r rune) rune {
	switch {
	case r == '\\':
		return '/'
	case r == 0: // where some end a path
		return r
	case unicode.IsSpace(r), unicode.IsControl(r), unicode.Is(unicode.Cf, r):
		return -1
	default:
		return unicode.ToLower(unicode.ToUpper(r)) // by way of capitals, which some small letters share
	}
}

// unescape decodes the escapes of a path that are any, and leaves the rest.
func unescape(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '%' && i+2 < len(path) {
			if c, err := url.PathUnescape(path[i : i+3]); err == nil {
				b.WriteString(c)
				i += 2
				continue
			}
		}
		b.WriteByte(path[i])
	}
	return b.String()
}

// pathOf returns the path of a request, also of one whose target has a scheme and nothing else before it.
func pathOf(r *http.Request) string {
	if r.URL.Path == "" && r.URL.Opaque != "" {
		return "/" + r.URL.Opaque
	}
	return r.URL.Path
}

// withoutSlash returns a path without the one slash behind it that people add. An escaped slash is none.
func withoutSlash(r *http.Request) string {
	path, ok := strings.CutSuffix(r.URL.Path, "/")
	if !ok || !strings.HasSuffix(r.URL.EscapedPath(), "/") {
		return r.URL.Path
	}
	return path
}
