package authcore

import (
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
