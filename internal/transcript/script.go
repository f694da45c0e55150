package transcript

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// Script is a gateway that transcripts are played against, one after another, and what their names stand for.
type Script struct {
	// Sources are what a "$" line can ask: a source is given the rest of the line, and returns the value that it has
	// there, waiting for one if need be. There are "mail", the next code that was sent to an address, and "lifetime",
	// the seconds that a token is good for.
	Sources map[string]func(t testing.TB, argument string) string

	// Listeners are the addresses that connections which talk lines are made to, by what their names begin with.
	Listeners map[string]string

	t     testing.TB
	g     *gatetest.Gateway
	up    *gatetest.Upstream
	vars  map[string]string
	conns map[string]*gatetest.Raw
	lines map[string]*lineConn
	every []string // headers of every reply
}

// New makes a script. The upstream may be nil where no transcript has "^" or "~" lines.
func New(t testing.TB, g *gatetest.Gateway, up *gatetest.Upstream) *Script {
	s := &Script{t: t, g: g, up: up, vars: make(map[string]string)}
	s.Forget()
	s.Sources = map[string]func(testing.TB, string) string{"mail": mailbox(g.Dir + "/mail"), "lifetime": lifetime}
	return s
}

// Read returns the lines of a file.
func Read(t testing.TB, file string) []string {
	t.Helper()
	raw, err := os.ReadFile(file) //nolint:gosec // a test's own
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimRight(string(raw), "\n"), "\n")
}

// Options returns the lines with a mark, each as a line of a Caddyfile with that much in front.
func Options(lines []string, mark, indent string) string {
	var b strings.Builder
	for _, l := range lines {
		if o, ok := strings.CutPrefix(l, mark+" "); ok {
			b.WriteString(indent + o + "\n")
		}
	}
	return b.String()
}

// Forget drops the connections, which a gateway that was started anew does not know.
func (s *Script) Forget() {
	s.conns, s.lines = make(map[string]*gatetest.Raw), make(map[string]*lineConn)
}

// Run plays a transcript. Every step that fails is told with its line.
func (s *Script) Run(t testing.TB, name string, lines []string) {
	t.Helper()
	s.t, s.every = t, nil
	conn, title, seen := "", "", 0
	var talk *lineConn // that is talked over, if it talks lines
	var c *gatetest.Raw
	for i := 0; i < len(lines); {
		where := func() string { return fmt.Sprintf("%s:%d (%s)", name, i+1, title) }
		run := func(mark string) []string { // the lines from here with that mark
			begin := i
			for i < len(lines) && strings.HasPrefix(lines[i], mark) {
				i++
			}
			return lines[begin:i]
		}
		first, rest := cutRune(lines[i])
		switch first {
		case "", "#", "+", "*":
			i++
		case "=":
			title, conn, talk = rest, "", nil
			i++
		case "&":
			s.every = append(s.every, rest)
			i++
		case "@":
			conn, talk = rest, s.dialLines(t, rest)
			i++
		case ">":
			if talk != nil {
				t.Fatalf("%s: %s talks lines", where(), conn)
			}
			request := s.request(run(">"))
			if c = s.conns[conn]; c == nil || conn == "" {
				c = gatetest.Dial(t, s.g.HTTP)
				s.conns[conn] = c
			}
			if s.up != nil {
				seen = len(s.up.Heads())
			}
			c.Send(request)
			reply := run("<")
			resp, body, err := c.TryResponse() //nolint:bodyclose // which has read and closed it
			if err != nil {
				t.Fatalf("%s: %v", where(), err)
			}
			s.reply(where(), reply, resp, body)
		case "^":
			head := s.up.LastHead(t, seen)
			for _, l := range run("^") {
				_, want := cutRune(l)
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
			if talk != nil {
				s.sendLine(where(), talk, lines[i])
				i++
				continue
			}
			s.conns[conn].SendFrame(gatetest.Text(s.expand(rest)))
			i++
		case "←":
			if talk != nil {
				s.takeLine(where(), talk, lines[i])
				i++
				continue
			}
			if code, ok := strings.CutPrefix(rest, "close "); ok {
				n, _ := strconv.Atoi(code)
				s.conns[conn].ExpectClose(n)
			} else if f := s.conns[conn].Frame(); f.Op != 1 || !s.match(rest, string(f.Payload)) {
				t.Errorf("%s: got frame %d %q", where(), f.Op, f.Payload)
			}
			i++
		case "$":
			s.ask(where(), rest)
			i++
		case "?":
			query := lines[i]
			i++
			s.rows(where(), query, run("|"))
		default:
			t.Fatalf("%s: what is this? %s", where(), lines[i])
		}
	}
}

// ask gives a name the value that a source has for it.
func (s *Script) ask(where, line string) {
	s.t.Helper()
	name, rest, _ := strings.Cut(line, " ")
	from, argument, _ := strings.Cut(rest, " ")
	source := s.Sources[from]
	if source == nil || name == "" {
		s.t.Fatalf("%s: this is to be: $ <name> source argument", where)
	}
	value := source(s.t, s.expand(argument))
	delete(s.vars, name)
	if !s.match(name, value) {
		s.t.Fatalf("%s: %s has %q, want %s", where, from, value, name)
	}
}

// lifetime returns the seconds that a token was good for when it was issued.
func lifetime(t testing.TB, token string) string {
	t.Helper()
	var claims struct{ Exp, Iat int64 }
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token+"..", ".")[1])
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if err != nil {
		t.Fatalf("no token: %v", err)
	}
	return strconv.FormatInt(claims.Exp-claims.Iat, 10)
}

// cutRune splits off the first character of a line and the space behind it.
func cutRune(line string) (first, rest string) {
	for _, r := range line {
		return string(r), strings.TrimPrefix(line[len(string(r)):], " ")
	}
	return "", ""
}
