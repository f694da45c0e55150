package endpoint

import (
	"bytes"
	"strings"
)

// Spellings are the paths that some server would take for an endpoint. The zero value has none.
type Spellings struct {
	exact map[string]string // endpoints by their folded path
	below map[string]string // endpoints that end in {id}, by the folded path before it
}

// Add adds the spellings of an endpoint. A last segment {id} matches any segment.
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

// Match returns the endpoint that some server would take path for, or an empty string. It runs for every request to the chat,
// and copies only unusual paths.
func (s *Spellings) Match(path string) string {
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
