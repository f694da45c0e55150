package walkthrough

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	noSlug  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors returns where links into a page can lead, as GitHub makes them of headings.
func anchors(prose string) map[string]bool {
	found := map[string]bool{"": true}
	for _, m := range heading.FindAllStringSubmatch(prose, -1) {
		found[strings.ReplaceAll(noSlug.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
	}
	return found
}

func TestLinks(t *testing.T) {
	prose, headings := make(map[string]string), make(map[string]map[string]bool)
	reached := map[string]bool{"README.md": true}
	for _, page := range pages(t) {
		_, prose[page] = divide(page, read(t, page))
		headings[page] = anchors(prose[page])
	}
	for page, text := range prose {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			name, anchor, _ := strings.Cut(m[1], "#")
			target := page
			if name != "" {
				target = path.Join(path.Dir(page), name)
			}
			reached[target] = reached[target] || target != page
			if there, ok := headings[target]; !ok {
				if _, err := os.Stat(filepath.Join(checkout, target)); err != nil || anchor != "" {
					t.Errorf("%s: the link %s leads nowhere", page, m[1])
				}
			} else if !there[anchor] {
				t.Errorf("%s: the link %s leads to no heading", page, m[1])
			}
		}
	}
	for page := range prose {
		if !reached[page] {
			t.Errorf("no link leads to %s", page)
		}
	}
}
