package transcript

import "regexp"

var placeholder = regexp.MustCompile(`<([a-z]+)[0-9]*>`)

var kinds = map[string]string{ //nolint:gosec // patterns of credentials, not credentials
	"token":    `eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}`, // Ed25519 signs with 64 bytes
	"id":       `[1-9][0-9]*`,
	"uuid":     `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`,
	"session":  `[A-Za-z0-9_-]{22}`, // 128 random bits
	"reqid":    `[A-Za-z0-9_-]{22}`,
	"userhash": `[0-9a-f]{64}`,
	"hash":     `[0-9a-f]{64}`, // of what is kept as no more than that
	"expiry":   `[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z`,
	"otp":      `[0-9]{6}`,
	"invite":   `[A-Z2-7]{5}(?:-[A-Z2-7]{5}){3}`,

	"text":    `[^"\\]+`, // what is for people, in their words
	"seconds": `(?:[1-9]|[1-9][0-9]|[1-5][0-9][0-9]|600)`,
	"long":    `[1-9][0-9]{3,8}`, // seconds, too
	"time":    `[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?Z`,
}

// passing are the kinds of what differs each time.
var passing = map[string]bool{"text": true, "seconds": true, "long": true, "time": true}

// expand fills in what was matched before.
func (s *Script) expand(line string) string {
	return placeholder.ReplaceAllStringFunc(line, func(p string) string {
		v, ok := s.vars[p]
		if !ok {
			s.t.Fatalf("%s is used before it was met: %s", p, line)
		}
		return v
	})
}

// Value returns what a name stands for, written as in a transcript: "<token2>".
func (s *Script) Value(name string) string { return s.expand(name) }

// match compares got with an expected line, and remembers what names stand for.
func (s *Script) match(want, got string) bool {
	pattern := ""
	var names []string
	at := 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(want, -1) {
		pattern += regexp.QuoteMeta(want[at:m[0]])
		p, kind := want[m[0]:m[1]], want[m[2]:m[3]]
		if v, ok := s.vars[p]; ok && !passing[kind] {
			pattern += regexp.QuoteMeta(v)
		} else {
			if kinds[kind] == "" {
				s.t.Fatalf("there is no kind of names for %s", p)
			}
			pattern += "(" + kinds[kind] + ")"
			names = append(names, p)
		}
		at = m[1]
	}
	pattern += regexp.QuoteMeta(want[at:])
	found := regexp.MustCompile("^" + pattern + "$").FindStringSubmatch(got)
	if found == nil {
		return false
	}
	values := make(map[string]string)
	for i, p := range names {
		if v, ok := values[p]; ok && v != found[i+1] && !passing[placeholder.FindStringSubmatch(p)[1]] {
			return false // twice in one line, and not the same
		}
		values[p] = found[i+1]
	}
	for p, v := range values {
		s.vars[p] = v
	}
	return true
}
