package transcript

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/chatgate/chatgate/internal/gatetest"
)

var quoted = regexp.MustCompile(`^[>→←](?:([0-9]+)×)?(".*")$`)

// request returns the bytes of a request.
func (s *Script) request(lines []string) string {
	var head, body strings.Builder
	target, hasBody := &head, false
	for _, l := range lines {
		if bytes, ok := s.unquote(l); ok {
			body.WriteString(bytes)
			continue
		}
		_, rest := cutRune(l)
		switch {
		case rest == "" && !hasBody:
			target, hasBody = &body, true
		case hasBody:
			target.WriteString(s.expand(rest))
		default:
			target.WriteString(s.expand(rest) + "\r\n")
		}
	}
	h := head.String()
	line, fields, _ := strings.Cut(h, "\r\n")
	h = line + "\r\nHost: " + s.g.HTTP + "\r\n" + fields
	if hasBody && !strings.Contains(h, "Transfer-Encoding:") {
		h += "Content-Length: " + strconv.Itoa(body.Len()) + "\r\n"
	}
	return h + "\r\n" + body.String()
}

// reply compares a response with its lines, header for header.
func (s *Script) reply(where string, lines []string, resp *http.Response, body string) {
	s.t.Helper()
	var got []string
	for name, values := range resp.Header {
		if name != "Date" && name != "Content-Length" {
			for _, v := range values {
				got = append(got, name+": "+v)
			}
		}
	}
	if resp.Close {
		got = append(got, "Connection: close") // which net/http takes out
	}
	header := func(want string) {
		s.t.Helper()
		at := slices.IndexFunc(got, func(h string) bool { return s.match(want, h) })
		if at < 0 {
			s.t.Errorf("%s: no %q among %q", where, want, got)
			return
		}
		got = slices.Delete(got, at, at+1)
	}
	every := slices.Clone(s.every)
	for i, l := range lines {
		_, want := cutRune(l)
		if i == 0 {
			if want != resp.Proto+" "+resp.Status {
				s.t.Errorf("%s: got %s %s\n%s", where, resp.Proto, resp.Status, body)
			}
			continue
		}
		if want == "" { // the body
			wanted := ""
			for _, l := range lines[i+1:] {
				_, line := cutRune(l)
				if text, err := strconv.Unquote(line); err == nil {
					wanted += text
					continue
				}
				wanted += line + "\n"
			}
			if !s.match(wanted, body) {
				s.t.Errorf("%s: got\n%s\nwant\n%s", where, body, wanted)
			}
			body = ""
			break
		}
		if name, ok := strings.CutPrefix(want, "!"); ok {
			n := len(every)
			every = slices.DeleteFunc(every, func(h string) bool { return strings.HasPrefix(h, name+": ") })
			if len(every) == n {
				s.t.Errorf("%s: %s is no header of every reply", where, name)
			}
			continue
		}
		header(want)
	}
	for _, want := range every {
		header(want)
	}
	if len(got) > 0 || body != "" {
		s.t.Errorf("%s: more than expected: %q %q", where, got, body)
	}
}

// upstreamGot compares one line with what the upstream got.
func (s *Script) upstreamGot(where, want, head string) {
	s.t.Helper()
	if name, ok := strings.CutPrefix(want, "!"); ok {
		if v := gatetest.HeaderValues(head, name); len(v) > 0 {
			s.t.Errorf("%s: the upstream got %s: %q", where, name, v)
		}
		return
	}
	name, value, ok := strings.Cut(want, ": ")
	if !ok {
		if line, _, _ := strings.Cut(head, "\r\n"); !s.match(want, line) {
			s.t.Errorf("%s: the upstream got %q", where, line)
		}
		return
	}
	if v := gatetest.HeaderValues(head, name); len(v) != 1 || !s.match(value, v[0]) {
		s.t.Errorf("%s: the upstream got %s: %q, want %s", where, name, v, value)
	}
}
