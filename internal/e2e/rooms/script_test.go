package rooms

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// A transcript is a list of lines. The first character says what a line is:
//
//	# a comment
//	+ an option of the chatgate block; before anything else
//	* an option of chatgate_proxy; before anything else
//	= what is shown from here on
//	@ the name of the connection that is talked over from here on, which stays open; else every request has its own
//	> a line that the client sends. Host, and Content-Length where there is a body, are added
//	>"…" bytes of the body, in Go's quotes, without a line break; >n×"…" is n times as many
//	< a line of the reply: the status, every header but Date and Content-Length, and the body
//	<"…" bytes of the body, as above
//	^ what the upstream gets: the request line, a header with its value, or !Header for one that does not get there
//	~ nothing reaches the upstream
//	→ a text frame that the client sends; ← a text frame, or "close <code>" and the end, that it gets
//
// <name> stands for what is matched where it is met first, and for the same text from then on. Names of one kind end
// in a number: <token>, <token2>.
type script struct {
	t     *testing.T
	g     *gatetest.Gateway
	up    *gatetest.Upstream
	vars  map[string]string
	conns map[string]*gatetest.Raw
}

var placeholder = regexp.MustCompile(`<([a-z]+)[0-9]*>`)

var kinds = map[string]string{
	"token":   `eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}`, // Ed25519 signs with 64 bytes
	"id":      `[1-9][0-9]*`,
	"uuid":    `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`,
	"text":    `[^"\\]+`, // what is for people, in their words
	"seconds": `(?:[1-9]|[1-9][0-9]|[1-5][0-9][0-9]|600)`,
}

func readLines(t *testing.T, name string) []string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimRight(string(raw), "\n"), "\n")
}

// caddyfile returns the configuration that a transcript asks for.
func caddyfile(lines []string, upstream string) string {
	var app, proxy strings.Builder
	for _, l := range lines {
		if o, ok := strings.CutPrefix(l, "+ "); ok {
			app.WriteString("\t\t" + o + "\n")
		} else if o, ok := strings.CutPrefix(l, "* "); ok {
			proxy.WriteString("\t\t" + o + "\n")
		}
	}
	return "{\n\t{{GLOBAL}}\n\tchatgate {\n\t\taccounts sqlite {{DIR}}/accounts.db\n\t\thash {\n\t\t\tmemory_kib 1024\n\t\t\ttime 1\n\t\t}\n" + app.String() +
		"\t}\n}\n\nhttp://{{HTTP}} {\n\tchatgate_accounts rooms\n\tchatgate_proxy " + upstream + " {\n" + proxy.String() + "\t}\n}\n"
}

func newScript(t *testing.T, lines []string) (*script, string) {
	t.Helper()
	up := gatetest.NewUpstream(t, chooses)
	file := caddyfile(lines, up.Addr)
	return &script{t: t, g: gatetest.Start(t, file), up: up, vars: make(map[string]string), conns: make(map[string]*gatetest.Raw)}, file
}

// expand fills in what was matched before.
func (s *script) expand(line string) string {
	return placeholder.ReplaceAllStringFunc(line, func(p string) string {
		v, ok := s.vars[p]
		if !ok {
			s.t.Fatalf("%s is used before it was met: %s", p, line)
		}
		return v
	})
}

// match compares got with an expected line, and remembers what placeholders stand for.
func (s *script) match(want, got string) bool {
	var pattern strings.Builder
	var names []string
	at := 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(want, -1) {
		pattern.WriteString(regexp.QuoteMeta(want[at:m[0]]))
		p, kind := want[m[0]:m[1]], want[m[2]:m[3]]
		if v, ok := s.vars[p]; ok && kind != "text" && kind != "seconds" {
			pattern.WriteString(regexp.QuoteMeta(v))
		} else {
			if kinds[kind] == "" {
				s.t.Fatalf("no such placeholder: %s", p)
			}
			pattern.WriteString("(" + kinds[kind] + ")")
			names = append(names, p)
		}
		at = m[1]
	}
	pattern.WriteString(regexp.QuoteMeta(want[at:]))
	found := regexp.MustCompile("^" + pattern.String() + "$").FindStringSubmatch(got)
	if found == nil {
		return false
	}
	for i, p := range names {
		s.vars[p] = found[i+1]
	}
	return true
}

// run plays a transcript. Every step that fails is told with its line.
func (s *script) run(t *testing.T, name string, lines []string) {
	s.t = t
	conn, title, seen := "", "", 0
	var c *gatetest.Raw
	for i := 0; i < len(lines); {
		where := func() string { return fmt.Sprintf("%s:%d (%s)", name, i+1, title) }
		first, rest := cutRune(lines[i])
		switch first {
		case "", "#", "+", "*":
			i++
		case "=":
			title = rest
			conn = ""
			i++
		case "@":
			conn = rest
			i++
		case ">":
			begin := i
			for i < len(lines) && strings.HasPrefix(lines[i], ">") {
				i++
			}
			request := s.request(lines[begin:i])
			if c = s.conns[conn]; c == nil || conn == "" {
				c = gatetest.Dial(t, s.g.HTTP)
				s.conns[conn] = c
			}
			seen = len(s.up.Heads())
			c.Send(request)
			begin = i
			for i < len(lines) && strings.HasPrefix(lines[i], "<") {
				i++
			}
			resp, body, err := c.TryResponse()
			if err != nil {
				t.Fatalf("%s: %v", where(), err)
			}
			s.reply(where(), lines[begin:i], resp, body)
		case "^":
			head := s.up.LastHead(t, seen)
			for ; i < len(lines) && strings.HasPrefix(lines[i], "^"); i++ {
				_, want := cutRune(lines[i])
				s.upstreamGot(where(), want, head)
			}
			for p, v := range s.vars {
				if strings.HasPrefix(p, "<token") && strings.Contains(head, v) {
					t.Errorf("%s: %s reached the upstream:\n%s", where(), p, head)
				}
			}
		case "~":
			if heads := s.up.Heads(); len(heads) != seen {
				t.Errorf("%s: this reached the upstream:\n%s", where(), heads[len(heads)-1])
			}
			i++
		case "→":
			s.conns[conn].SendFrame(gatetest.Text(s.expand(rest)))
			i++
		case "←":
			if code, ok := strings.CutPrefix(rest, "close "); ok {
				n, _ := strconv.Atoi(code)
				s.conns[conn].ExpectClose(n)
			} else if f := s.conns[conn].Frame(); f.Op != 1 || !s.match(rest, string(f.Payload)) {
				t.Errorf("%s: got frame %d %q", where(), f.Op, f.Payload)
			}
			i++
		default:
			t.Fatalf("%s: what is this? %s", where(), lines[i])
		}
	}
}

// cutRune splits off the first character of a line and the space behind it.
func cutRune(line string) (first, rest string) {
	for _, r := range line {
		return string(r), strings.TrimPrefix(line[len(string(r)):], " ")
	}
	return "", ""
}

var quoted = regexp.MustCompile(`^>(?:([0-9]+)×)?(".*")$`)

// request returns the bytes of a request.
func (s *script) request(lines []string) string {
	var head, body strings.Builder
	target, hasBody := &head, false
	for _, l := range lines {
		if m := quoted.FindStringSubmatch(l); m != nil {
			n := 1
			if m[1] != "" {
				n, _ = strconv.Atoi(m[1])
			}
			text, err := strconv.Unquote(m[2])
			if err != nil {
				s.t.Fatalf("%s: %v", l, err)
			}
			body.WriteString(strings.Repeat(text, n))
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
func (s *script) reply(where string, lines []string, resp *http.Response, body string) {
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
		at := slices.IndexFunc(got, func(h string) bool { return s.match(want, h) })
		if at < 0 {
			s.t.Errorf("%s: no %q among %q", where, want, got)
			continue
		}
		got = slices.Delete(got, at, at+1)
	}
	if len(got) > 0 || body != "" {
		s.t.Errorf("%s: more than expected: %q %q", where, got, body)
	}
}

func (s *script) upstreamGot(where, want, head string) {
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

// chooses is an upstream that speaks chat.v1, if asked to.
func chooses(u *gatetest.Upstream, c net.Conn, br *bufio.Reader, head string) {
	if v := gatetest.HeaderValues(head, "Sec-WebSocket-Protocol"); len(v) == 1 && v[0] == "chat.v1" {
		_, _ = c.Write([]byte(gatetest.Accept(head, "Sec-WebSocket-Protocol: chat.v1")))
		_, _ = br.ReadByte() // until the client is gone
		return
	}
	gatetest.EchoWebSocket(u, c, br, head)
}
