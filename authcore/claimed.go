package authcore

import (
	"bytes"
	"strings"
	"unicode"
)

// People type and paste more than they mean: keyboards add a space after a completed word, mail programs show codes in
// groups. Every dialect removes such characters here, before anything is counted. Passwords are never changed.

// trimClaimed trims white space from both ends of a name, an address, a number or an id. A line break may be pasted along
// at the end; one at the beginning is an attempt to inject a header, and stays.
func trimClaimed(claimed string) string {
	return strings.TrimRightFunc(strings.TrimLeftFunc(claimed, func(r rune) bool {
		return unicode.IsSpace(r) && r != '\r' && r != '\n'
	}), unicode.IsSpace)
}

// ungroup removes all white space and dashes from a code.
func ungroup(code string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) {
			return -1
		}
		return r
	}, code)
}

// SpellsNUL reports whether a JSON text contains an escaped NUL character. Most stores cannot hold one, so dialects
// refuse it in any text of a client.
func SpellsNUL(json []byte) bool {
	const nul = `\u0000`
	for rest := json; ; {
		i := bytes.Index(rest, []byte(nul))
		if i < 0 {
			return false
		}
		before := bytes.TrimRight(rest[:i], `\`)
		if (i-len(before))%2 == 0 {
			return true
		}
		rest = rest[i+len(nul):]
	}
}

// cutUTF8 cuts s to n bytes of valid UTF-8 without NUL, which PostgreSQL does not store.
func cutUTF8(s string, n int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
