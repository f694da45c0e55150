package chatroom

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// StripRules are an operator's additions to the names that clients may not send, and exceptions from them. A name that ends
// in * stands for every name that begins with it. A single name takes precedence over such a family, and then Keep over Strip.
type StripRules struct {
	Strip []string
	Keep  []string
}

// rule is an operator's rule for a name or a family.
type rule struct {
	text   string // as it was written
	folded string
	begins bool // it is a family
	word   bool // the family's names have a word end there, and another follow: X-Chat-*
}

func parseRules(option string, texts []string) (rules []rule, err error) {
	for _, text := range texts {
		name, begins := strings.CutSuffix(text, "*")
		folded, _, odd := appendFolded(nil, name)
		switch {
		case !httpguts.ValidHeaderFieldName(name) || len(folded) == 0 || odd:
			return nil, fmt.Errorf("%s: %q is not a valid header name; write one like X-Chat-Role, or X-Chat-* for all that begin with X-Chat-", option, text)
		case !begins && Reserved(name):
			return nil, fmt.Errorf("%s: %q belongs to HTTP or the handshake and always passes; to change what the upstream is sent, use header_up", option, text)
		}
		rules = append(rules, rule{text, string(folded), begins, begins && isJoint(name[len(name)-1])})
	}
	return rules, nil
}

// same reports whether two rules are for the same names, so that they contradict each other.
func (r rule) same(other rule) bool {
	return r.folded == other.folded && r.begins == other.begins && r.word == other.word
}

// covers reports whether the rule applies to a name.
func (r rule) covers(name string) bool {
	folded := FoldName(name)
	if !r.begins {
		return folded == r.folded
	}
	return strings.HasPrefix(folded, r.folded) && (!r.word || len(folded) > len(r.folded) && wordEndsAt(name, len(r.folded)))
}

// wordEndsAt reports whether a word of the name ends after that many letters and digits.
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

// prefixes are sorted beginnings of names. None begins with another.
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

// match reports whether n begins with one of them. Only the last one that does not sort after n can be it.
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
