package chatroom

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Stripper removes the headers by which a client could claim something.
type Stripper struct {
	usual map[string]verdict // by the name as it is
	exact map[string]verdict // by the folded name, like everything below
	keep  prefixes
	kept  []string // prefixes after which a word must end, and another follow
	strip prefixes
	words map[string]bool   // first words, after which another must follow
	ends  [256][]string     // forbidden ends of names, by their last byte
	spelt map[string]string // the only spelling of a reserved name, as net/http has it
}

// verdict is what happens to a header.
type verdict uint8

const (
	pass          verdict = iota
	remove                // whoever sent it
	unlessTrusted         // removed, unless a trusted proxy sent it
	reserved              // passes in its own spelling
	refused               // removed, and the request is refused
)

// NewStripper returns a stripper for the built-in names, the configured identity headers and an operator's rules.
func NewStripper(h IdentityHeaders, rules StripRules) (*Stripper, error) {
	s := &Stripper{usual: make(map[string]verdict), exact: make(map[string]verdict), words: make(map[string]bool), spelt: make(map[string]string)}
	strip, err := parseRules("strip", rules.Strip)
	if err != nil {
		return nil, err
	}
	keep, err := parseRules("keep", rules.Keep)
	if err != nil {
		return nil, err
	}
	s.learn()
	if err := s.add(strip, keep); err != nil {
		return nil, err
	}
	if err := s.protect(h, keep); err != nil {
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

// learn adds the built-in names.
func (s *Stripper) learn() {
	for n := range strings.FieldsSeq(identityFamilies) {
		switch word, isWord := strings.CutSuffix(n, "-*"); {
		case isWord:
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

// add adds an operator's rules. Those that take precedence come later.
func (s *Stripper) add(strip, keep []rule) error {
	for _, k := range keep {
		if i := slices.IndexFunc(strip, k.same); i >= 0 {
			return fmt.Errorf("keep %s: strip has the same name (%s); remove one of the two", k.text, strip[i].text)
		}
	}
	for _, begins := range []bool{true, false} {
		for _, r := range strip {
			if r.begins == begins {
				r.word = false // a receiver that folds names may not see where a word ends
				s.put(r, remove, &s.strip)
			}
		}
		for _, r := range keep {
			if r.begins == begins {
				s.put(r, pass, &s.keep)
			}
		}
	}
	return nil
}

// put adds one rule. A family also decides about the built-in names that belong to it.
func (s *Stripper) put(r rule, means verdict, to *prefixes) {
	switch {
	case !r.begins:
		s.exact[r.folded] = means
		return
	case r.word:
		s.kept = append(s.kept, r.folded)
	default:
		*to = append(*to, r.folded)
	}
	for _, names := range []string{identityNames, notIdentities, originNames} {
		for n := range strings.FieldsSeq(names) {
			if r.covers(n) {
				s.exact[FoldName(n)] = means
			}
		}
	}
}

// protect adds the headers that we set ourselves. Not even keep lets a client send them.
func (s *Stripper) protect(h IdentityHeaders, keep []rule) error {
	for _, own := range h.names() {
		if own == "" {
			continue
		}
		s.exact[FoldName(own)] = remove
		for _, r := range keep {
			if r.covers(own) {
				return fmt.Errorf("keep: %q covers %s, which tells the upstream who is asking, so that no client may send it", r.text, own)
			}
		}
	}
	return nil
}

// Reserved reports whether a name has a meaning for HTTP, for the handshake or for us, and so cannot be given another.
func Reserved(name string) bool { return reservedFolded[FoldName(name)] }

var reservedFolded = func() map[string]bool {
	m := make(map[string]bool)
	for n := range strings.FieldsSeq(reservedNames) {
		m[FoldName(n)] = true
	}
	return m
}()

// FoldName returns the letters and digits of a name, in lower case: receivers may take names for the same if these are. CGI
// turns '-' into '_'; some servers turn '.', or every byte that is neither letter nor digit, into it as well.
func FoldName(name string) string {
	folded, _, _ := appendFolded(make([]byte, 0, 64), name)
	return string(folded)
}

// appendFolded also returns the number of letters and digits in the first word, and whether the name has a byte that
// ordinary names do not have.
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

// isOdd reports whether a byte does not occur in ordinary names.
func isOdd(c byte) bool { return !isAlphanumeric(c) && !isJoint(c) }

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// isJoint reports whether a byte separates the words of ordinary names.
func isJoint(c byte) bool { return c == '-' || c == '_' || c == '.' }

// judge decides what happens to a header.
func (s *Stripper) judge(name string) verdict {
	var buf [64]byte
	n, word, odd := appendFolded(buf[:0], name)
	v, known := s.exact[string(n)]
	switch {
	case known:
	case s.keep.match(n), s.keptByWord(name, n):
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

func (s *Stripper) keptByWord(name string, folded []byte) bool {
	for _, p := range s.kept {
		if len(folded) > len(p) && string(folded[:len(p)]) == p && wordEndsAt(name, len(p)) {
			return true
		}
	}
	return false
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

// Strip removes the headers that their sender may not send. Call it before any header is added. It refuses a request with a
// name that only some receivers would take for such a header, since no client spells a name like that by mistake.
func (s *Stripper) Strip(h http.Header, trustedProxy bool) *Refusal {
	for name := range h {
		v, ok := s.usual[name]
		if !ok {
			v = s.judge(name)
		}
		switch {
		case v == refused:
			return refuse(http.StatusBadRequest, fmt.Sprintf("the header name %.64q could be mistaken for another; use only letters, digits and -", name))
		case v == remove, v == unlessTrusted && !trustedProxy:
			delete(h, name)
		}
	}
	return nil
}
