package endpoint

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// foldPath returns the path that the laxest server would see: letters without case and width, escapes decoded until none is
// left, backslashes as slashes, and no parameters, empty or dot segments, spaces or control characters. It is for keeping
// requests from the chat, never for serving them.
func foldPath(path string) string {
	if b, ok := foldPlain(nil, path); ok {
		return string(b)
	}
	return foldAny(path)
}

// foldPlain is foldPath for a path of plain characters alone, and appends to b, which must be empty. It reports false for any
// other path.
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

// endSegment ends the last segment of b, which begins with a slash, and appends a slash.
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

func foldRune(r rune) rune {
	switch {
	case r == '\\':
		return '/'
	case r == 0: // ends a path for some servers
		return r
	case unicode.IsSpace(r), unicode.IsControl(r), unicode.Is(unicode.Cf, r):
		return -1
	default:
		return unicode.ToLower(unicode.ToUpper(r)) // through upper case, which some lower-case letters share
	}
}

// unescape decodes the escapes of a path, and those that decoding makes, in one pass however deep they are. It leaves invalid
// ones.
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
