package chatroom

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// StripRules are what an operator adds to the names that clients may not send, and takes away from them. A name that
// ends in * is every name that begins so.
type StripRules struct {
	Strip []string
	Keep  []string // counts before Strip
}

// Stripper removes what a client may not claim.
type Stripper struct {
	usual map[string]verdict // by the name as it is
	exact map[string]verdict // by the folded name, as is all below
	keep  prefixes
	strip prefixes
	words map[string]bool   // first words, of which more must follow
	ends  [256]([]string)   // what a name may not end in, by its last byte
	spelt map[string]string // the only spelling of a reserved name, as net/http has it
}

// verdict is what happens to a header.
type verdict uint8

const (
	pass          verdict = iota
	remove                // from nobody
	unlessTrusted         // removed, unless a trusted proxy sent it
	reserved              // passes in its own spelling
	refused               // removed, and the request is refused
)

// NewStripper makes a stripper that knows the configured names as well.
func NewStripper(h IdentityHeaders, rules StripRules) (*Stripper, error) {
	s := &Stripper{usual: make(map[string]verdict), exact: make(map[string]verdict), words: make(map[string]bool), spelt: make(map[string]string)}
	s.learn()
	if err := s.add(rules); err != nil {
		return nil, err
	}
	if err := s.protect(h, rules.Keep); err != nil {
		return nil, err
	}
	for n := range strings.FieldsSeq(reservedNames) {
		s.exact[FoldName(n)], s.spelt[FoldName(n)] = reserved, n
	}
	s.keep.compact()
	s.strip.compact()
	for n := range strings.FieldsSeq(usualNames) {
		s.usual[n] = s.judge(n)
	}
	return s, nil
}

// learn takes in what is the same for every route.
func (s *Stripper) learn() {
	for n := range strings.FieldsSeq(identityFamilies) {
		switch word, isWord := strings.CutSuffix(n, "-*"); {
		case isWord && !strings.Contains(word, "-"):
			s.words[FoldName(word)] = true
		case n[0] == '*':
			end := FoldName(n)
			last := end[len(end)-1]
			s.ends[last] = append(s.ends[last], end)
		default:
			s.strip = append(s.strip, FoldName(n))
		}
	}
	for _, names := range []struct {
		are     string
		verdict verdict
	}{{identityNames, remove}, {notIdentities, pass}, {originNames, unlessTrusted}} {
		for n := range strings.FieldsSeq(names.are) {
			s.exact[FoldName(n)] = names.verdict
		}
	}
}

// add takes in an operator's rules.
func (s *Stripper) add(rules StripRules) error {
	there := make(map[string]string) // option by name
	for _, o := range []struct {
		option string
		names  []string
		to     *prefixes
		means  verdict
	}{{"strip", rules.Strip, &s.strip, remove}, {"keep", rules.Keep, &s.keep, pass}} {
		for _, n := range o.names {
			name, begins, err := parseRule(o.option, n)
			if err != nil {
				return err
			}
			if other, ok := there[FoldName(name)]; ok && other != o.option {
				return fmt.Errorf("keep %s: strip has the same name; keep one of them", n)
			}
			there[FoldName(name)] = o.option
			if !begins {
				s.exact[FoldName(name)] = o.means
				continue
			}
			for known := range s.exact {
				if strings.HasPrefix(known, FoldName(name)) && there[known] == "" {
					s.exact[known] = o.means
				}
			}
			*o.to = append(*o.to, FoldName(name))
		}
	}
	return nil
}

// parseRule returns the name of a rule, and whether it is that of all which begin so.
func parseRule(option, rule string) (name string, begins bool, err error) {
	name, begins = strings.CutSuffix(rule, "*")
	folded, _, odd := appendFolded(nil, name)
	switch {
	case !httpguts.ValidHeaderFieldName(name) || len(folded) == 0 || odd:
		return "", false, fmt.Errorf("%s: %q is not a name of a header; write X-Chat-Role, or X-Chat-* for all that begin so", option, rule)
	case !begins && Reserved(name):
		return "", false, fmt.Errorf("%s: %q belongs to HTTP or the handshake and always passes; to change what the upstream is sent, use header_up", option, rule)
	}
	return name, begins, nil
}

// protect takes in the names that we say ourselves; not even keep makes one of them a client's.
func (s *Stripper) protect(h IdentityHeaders, keep []string) error {
	for _, own := range h.names() {
		if own == "" {
			continue
		}
		s.exact[FoldName(own)] = remove
		for _, n := range keep {
			name, begins := strings.CutSuffix(n, "*")
			if name = FoldName(name); FoldName(own) == name || begins && strings.HasPrefix(FoldName(own), name) {
				return fmt.Errorf("keep: %q covers %s, which tells the upstream who is asking, so that no client may send it", n, own)
			}
		}
	}
	return nil
}

// Reserved reports whether a name means something to HTTP, to the handshake or to the gate, so that it can be nothing else.
func Reserved(name string) bool { return reservedFolded[FoldName(name)] }

var reservedFolded = func() map[string]bool {
	m := make(map[string]bool)
	for n := range strings.FieldsSeq(reservedNames) {
		m[FoldName(n)] = true
	}
	return m
}()

// FoldName is the widest form in which receivers compare names: lower case, letters and digits alone. CGI has '_' for
// '-'; some servers have it for '.', or for every byte that is no letter or digit.
func FoldName(name string) string {
	folded, _, _ := appendFolded(make([]byte, 0, 64), name)
	return string(folded)
}

// appendFolded also returns how many letters and digits the first word has, and whether the name has a byte that no
// ordinary name has.
func appendFolded(b []byte, name string) (folded []byte, word int, odd bool) {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
			b = append(b, c)
		case 'A' <= c && c <= 'Z':
			b = append(b, c+'a'-'A')
		default:
			if word == 0 {
				word = len(b)
			}
			odd = odd || isOdd(c)
		}
	}
	if word == 0 {
		word = len(b)
	}
	return b, word, odd
}

// isOdd reports whether a byte is neither a letter, nor a digit, nor what ordinary names have between their words.
func isOdd(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		return false
	}
	return true
}

// judge says what happens to a header.
func (s *Stripper) judge(name string) verdict {
	var buf [64]byte
	n, word, odd := appendFolded(buf[:0], name)
	v, known := s.exact[string(n)]
	switch {
	case known:
	case s.keep.match(n):
		v = pass
	case s.strip.match(n), word < len(n) && s.words[string(n[:word])], s.endsBadly(n):
		v = remove
	}
	switch {
	case v == reserved && s.spelt[string(n)] == name:
		return pass
	case v != pass && odd:
		return refused
	case v == reserved:
		return remove
	}
	return v
}

func (s *Stripper) endsBadly(n []byte) bool {
	if len(n) == 0 {
		return false
	}
	for _, end := range s.ends[n[len(n)-1]] {
		if len(n) >= len(end) && string(n[len(n)-len(end):]) == end {
			return true
		}
	}
	return false
}

// Strip removes from h what its sender may not say. It is called before anything is added. A name that is spelt so that
// only some receivers would take it for such a header is nobody's mistake: its request is refused.
func (s *Stripper) Strip(h http.Header, trustedProxy bool) *Refusal {
	for name := range h {
		v, ok := s.usual[name]
		if !ok {
			v = s.judge(name)
		}
		switch {
		case v == refused:
			return refuse(http.StatusBadRequest, fmt.Sprintf("the header %.64q could be taken for another; make its name of letters, digits and -", name))
		case v == remove, v == unlessTrusted && !trustedProxy:
			delete(h, name)
		}
	}
	return nil
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
