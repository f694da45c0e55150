package authcore

import (
	"bytes"
	"strings"
	"unicode"
)

// What people type and paste is not what they mean: a keyboard that completes a word puts a space behind it, a mail
// program shows a code in groups. What cannot be meant is taken off here, for every dialect and before anything is
// counted. A password is never touched.

// trimClaimed takes the white space off both ends of a name, an address, a number or an id. A line break is pasted along
// behind a text; one before it is no slip but an attempt to begin a header.
func trimClaimed(claimed string) string {
	return strings.TrimRightFunc(strings.TrimLeftFunc(claimed, func(r rune) bool {
		return unicode.IsSpace(r) && r != '\r' && r != '\n'
	}), unicode.IsSpace)
}

// ungroup takes white space and dashes out of a code, wherever they are.
func ungroup(code string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) {
			return -1
		}
		return r
	}, code)
}

// SpellsNUL reports whether a JSON text has the escape of a NUL character, itself not escaped. Most stores cannot hold one, so
// a dialect refuses it wherever a client may choose a text.
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
