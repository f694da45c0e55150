package endpoint

import (
	"bytes"
	"net/http"
	"path"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Spellings finds the paths that some server would take others for.
type Spellings struct {
	exact map[string]string // a path, by what it folds to
	below map[string]string // one that ends in {id}, which stands for any segment, by what comes before that
}

func (s *Spellings) Add(path string) {
	if s.exact == nil {
		s.exact, s.below = make(map[string]string), make(map[string]string)
	}
	folded := foldPath(path)
	if before, ok := strings.CutSuffix(folded, "{id}"); ok {
		s.below[before] = path
	} else {
		s.exact[folded] = path
	}
}

// Meant returns the path that some server would take another for, or nothing. It is asked for every request that goes to
// the chat, and makes no copy of most paths.
func (s *Spellings) Meant(path string) string {
	var room [128]byte
	folded, ok := foldPlain(room[:0], path)
	if !ok {
		folded = append(folded[:0], foldAny(path)...)
	}
	if endpoint, ok := s.exact[string(folded)]; ok {
		return endpoint
	}
	return s.below[string(folded[:bytes.LastIndexByte(folded, '/')+1])]
}

// foldPath returns what the laxest server takes a path for: letters without their case and width, escapes decoded as
// often as they can be, a backslash for a slash, without parameters, and without the slashes, dots, spaces and control
// characters that mean nothing to one server or another. It says what to keep from a chat, not what to serve.
func foldPath(path string) string {
	if b, ok := foldPlain(nil, path); ok {
		return string(b)
	}
	return foldAny(path)
}

// foldPlain appends what foldPath makes of a path to b, which is empty, if the path has nothing but plain characters.
func foldPlain(b []byte, path string) (folded []byte, ok bool) {
	b = append(b, '/')
	for i := range len(path) {
		switch c := path[i]; {
		case c == '/':
			b = endSegment(b)
		case 'A' <= c && c <= 'Z':
			b = append(b, c-'A'+'a')
		case c <= ' ', c > '~', c == '%', c == ';', c == '?', c == '#', c == '\\':
			return b, false
		default:
			b = append(b, c)
		}
	}
	b = endSegment(b)
	return b[:max(1, len(b)-1)], true
}

// endSegment ends the last segment of a path, which had a slash before its first, and puts a slash behind it.
func endSegment(b []byte) []byte {
	start := bytes.LastIndexByte(b, '/') + 1
	if string(b[start:]) == ".." {
		return b[:bytes.LastIndexByte(b[:max(1, start-1)], '/')+1]
	}
	if b = bytes.TrimRight(b, "."); len(b) == start {
		return b
	}
	return append(b, '/')
}

// foldAny is foldPath for any path.
func foldAny(p string) string {
	p = strings.Map(foldRune, norm.NFKC.String(unescape(p)))
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

// LiteralPath reports whether text is a path below the root that stands for itself.
func LiteralPath(text string) bool {
	return strings.HasPrefix(text, "/") && text != "/" && path.Clean(text) == text && !strings.ContainsAny(text, "*{}?#%;\\ ")
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

// unescape decodes the escapes of a path that are any, and those that come of it, and leaves the rest. It goes through the
// path once, however deep they are.
func unescape(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	b := make([]byte, 0, len(path))
	for i := range len(path) {
		b = append(b, path[i])
		for n := len(b) - 3; n >= 0 && b[n] == '%'; n = len(b) - 3 {
			c, err := strconv.ParseUint(string(b[n+1:]), 16, 8)
			if err != nil {
				break
			}
			b = append(b[:n], byte(c))
		}
	}
	return string(b)
}

// PathOf returns the path of a request, also of one whose target has a scheme and nothing else before it.
func PathOf(r *http.Request) string {
	if r.URL.Path == "" && r.URL.Opaque != "" {
		return "/" + r.URL.Opaque
	}
	return r.URL.Path
}

// WithoutSlash returns a path without the one slash behind it that people add. An escaped slash is none.
func WithoutSlash(r *http.Request) string {
	path, ok := strings.CutSuffix(r.URL.Path, "/")
	if !ok || !strings.HasSuffix(r.URL.EscapedPath(), "/") {
		return r.URL.Path
	}
	return path
}
