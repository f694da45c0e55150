package chatroom

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// StripRules are what an operator adds to the names that clients may not send, and takes away from them. A name that
// ends in * is a family: every name that begins so. A name counts before a family, and then Keep before Strip.
type StripRules struct {
	Strip []string
	Keep  []string
}

// rule is what an operator says of a name, or of a family.
type rule struct {
	text   string // as it was written
	folded string
	begins bool // it is a family
	word   bool // in whose names a word ends there, and another follows: X-Chat-*
}

func parseRules(option string, texts []string) (rules []rule, err error) {
	for _, text := range texts {
		name, begins := strings.CutSuffix(text, "*")
		folded, _, odd := appendFolded(nil, name)
		switch {
		case !httpguts.ValidHeaderFieldName(name) || len(folded) == 0 || odd:
			return nil, fmt.Errorf("%s: %q is not a name of a header; write X-Chat-Role, or X-Chat-* for all that begin so", option, text)
		case !begins && Reserved(name):
			return nil, fmt.Errorf("%s: %q belongs to HTTP or the handshake and always passes; to change what the upstream is sent, use header_up", option, text)
		}
		rules = append(rules, rule{text, string(folded), begins, begins && isJoint(name[len(name)-1])})
	}
	return rules, nil
}

// same reports whether two rules are for the same names, so that only one of them can hold.
func (r rule) same(other rule) bool {
	return r.folded == other.folded && r.begins == other.begins && r.word == other.word
}

// covers reports whether the rule is for a name.
func (r rule) covers(name string) bool {
	folded := FoldName(name)
	if !r.begins {
		return folded == r.folded
	}
	return strings.HasPrefix(folded, r.folded) && (!r.word || len(folded) > len(r.folded) && wordEndsAt(name, len(r.folded)))
}

// wordEndsAt reports whether a word of the name ends behind so many letters and digits.
func wordEndsAt(name string, folded int) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case isJoint(c) && folded == 0:
			return true
		case !isAlphanumeric(c):
		case folded == 0:
			return false
		default:
			folded--
		}
	}
	return false
}

// prefixes are beginnings of names, sorted, of which none begins with another.
type prefixes []string

func (p *prefixes) compact() {
	slices.Sort(*p)
	var kept prefixes
	for _, next := range *p {
		if len(kept) == 0 || !strings.HasPrefix(next, kept[len(kept)-1]) {
			kept = append(kept, next)
		}
	}
	*p = kept
}

// match reports whether n begins with one of them; which can only be the last one that is not behind n.
func (p prefixes) match(n []byte) bool {
	low, high := 0, len(p)
	for low < high {
		if mid := (low + high) / 2; string(n) < p[mid] {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low > 0 && len(n) >= len(p[low-1]) && string(n[:len(p[low-1])]) == p[low-1]
}
