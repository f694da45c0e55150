package walkthrough

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// samples are what a page shows and every reader gets others of.
var samples = []struct{ shown, pattern string }{
	{"970413", `\d{6}`},
	{"2026-11-21T20:19:29Z", `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`},
}

// reader follows a page, and puts what they got in the place of its samples.
type reader struct {
	got map[string]string // by sample
}

// copies returns what the reader types for what the page says.
func (r *reader) copies(text string) string {
	for shown, got := range r.got {
		text = strings.ReplaceAll(text, shown, got)
	}
	return text
}

// sees reports whether a line is what the page shows.
func (r *reader) sees(shown, line string) bool {
	pattern := regexp.QuoteMeta(shown)
	pattern = strings.ReplaceAll(pattern, "…", ".*")
	for i, s := range samples {
		pattern = strings.Replace(pattern, regexp.QuoteMeta(s.shown), fmt.Sprintf("(?P<s%d>%s)", i, s.pattern), 1)
	}
	exp := regexp.MustCompile("^" + pattern + "$")
	found := exp.FindStringSubmatch(line)
	if found == nil {
		return false
	}
	for i, s := range samples {
		if n := exp.SubexpIndex(fmt.Sprintf("s%d", i)); n >= 0 {
			if r.got == nil {
				r.got = make(map[string]string)
			}
			r.got[s.shown] = found[n]
		}
	}
	return true
}

// compare returns the first line of an output that is not what the page shows, or "".
func (r *reader) compare(shown, output string) string {
	want, got := strings.Split(strings.TrimRight(shown, "\n"), "\n"), strings.Split(strings.TrimRight(output, "\n"), "\n")
	for i, line := range want {
		switch {
		case i >= len(got):
			return fmt.Sprintf("the output ends before %q", line)
		case !r.sees(line, got[i]):
			return fmt.Sprintf("the output has %q where the page shows %q", got[i], line)
		}
	}
	if len(got) > len(want) {
		return fmt.Sprintf("the output goes on with %q", got[len(want)])
	}
	return ""
}

func TestCompare(t *testing.T) {
	for _, c := range []struct{ shown, output, want string }{
		{"a\nb\n", "a\nb", ""},
		{"a…c", "abc", ""},
		{"970413 is it at 2026-11-21T20:19:29Z", "123456 is it at 2030-01-02T03:04:05Z", ""},
		{"970413", "12345", `the output has "12345" where the page shows "970413"`},
		{"a.c", "abc", `the output has "abc" where the page shows "a.c"`},
		{"a\nb", "a", `the output ends before "b"`},
		{"a", "a\nb", `the output goes on with "b"`},
	} {
		var r reader
		if got := r.compare(c.shown, c.output); got != c.want {
			t.Errorf("%q against %q: %q", c.output, c.shown, got)
		}
	}
	var r reader
	r.compare("970413 is it", "123456 is it")
	if got := r.copies("c:970413"); got != "c:123456" {
		t.Errorf("the reader types %q", got)
	}
}
