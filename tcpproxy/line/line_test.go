package line

import (
	"errors"
	"io"
	"maps"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text string
		want Request
	}{
		{`login u:alice p:secret`, Request{Login, map[Key]string{"u": "alice", "p": "secret"}}},
		{`login p:secret u:alice`, Request{Login, map[Key]string{"u": "alice", "p": "secret"}}},
		{`login  u:alice   p:secret  `, Request{Login, map[Key]string{"u": "alice", "p": "secret"}}},
		{`login u:alice@example.com p:a:b=c`, Request{Login, map[Key]string{"u": "alice@example.com", "p": "a:b=c"}}},
		{`login u:"alice" p:"two words"`, Request{Login, map[Key]string{"u": "alice", "p": "two words"}}},
		{`login u:alice p:"a \"quoted\" \\ word"`, Request{Login, map[Key]string{"u": "alice", "p": `a "quoted" \ word`}}},
		{`login u:alice p:a"b\c`, Request{Login, map[Key]string{"u": "alice", "p": `a"b\c`}}},
		{`login u:ålice p:"pass　wört"`, Request{Login, map[Key]string{"u": "ålice", "p": "pass　wört"}}},
		{`login u:%0a p: u`, Request{}},
		{`register u:alice p:1234567890 n:+4915112345678`, Request{Register, map[Key]string{"u": "alice", "p": "1234567890", "n": "+4915112345678"}}},
		{`register u:alice p:1234567890 n:"+49 151 12345678" e:a@b.example`, Request{Register, map[Key]string{"u": "alice", "p": "1234567890", "n": "+49 151 12345678", "e": "a@b.example"}}},
		{`validatephone p:+491511 c:123456`, Request{ValidatePhone, map[Key]string{"p": "+491511", "c": "123456"}}},
		{`validateemail e:a@b.example c:123456`, Request{ValidateEmail, map[Key]string{"e": "a@b.example", "c": "123456"}}},
		{`token t:aaa.bbb.ccc`, Request{Token, map[Key]string{"t": "aaa.bbb.ccc"}}},
		{`visit`, Request{Visit, map[Key]string{}}},
	} {
		got, err := Parse(c.text)
		if c.want.Verb == "" {
			if err == nil {
				t.Errorf("%q was read as %q", c.text, got.Line())
			}
			continue
		}
		if err != nil || got.Verb != c.want.Verb || !maps.Equal(got.Args, c.want.Args) {
			t.Errorf("%q: got %s %q, %v", c.text, got.Verb, got.Args, err)
		}
	}
}

// Each differs from a good line in one respect.
func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                            "syntax:",
		" login u:alice p:secret":                     "syntax:",
		"LOGIN u:alice p:secret":                      "syntax:",
		"\ufefflogin u:alice p:secret":                "syntax:",
		"logon u:alice p:secret":                      "syntax:",
		"login\tu:alice p:secret":                     "syntax:",
		"login u:ali\x00ce p:secret":                  "syntax:",
		"login u:ali\rce p:secret":                    "syntax:",
		"login u:alice p:sec\xffret":                  "syntax:",
		"login u:alice p:sec\u0085ret":                "syntax:",
		"login u:alice p:secret extra":                "syntax:",
		"login u:alice p:secret U:x":                  "syntax:",
		"login u:alice p:secret :x":                   "syntax:",
		"login u :alice p:secret":                     "syntax:",
		"login u:alice p:secret ключ:x":               "syntax:",
		"login u:alice p:secret seventeencharskk:x z": "syntax:",
		"login":                                           "syntax:p,u",
		"login u:alice":                                   "syntax:p",
		"login u: p:secret":                               "syntax:u",
		`login u:"" p:secret`:                             "syntax:u",
		"login u:alice u:alice p:secret":                  "syntax:u",
		"login u:alice p:secret x:1":                      "syntax:x",
		"login x:1 u:alice x:2 u:bob p:a p:b":             "syntax:p,u,x",
		`login u:alice p:"sec`:                            "syntax:p",
		`login p:"sec u:alice`:                            "syntax:p,u",
		`login u:alice p:"sec\ret"`:                       "syntax:p",
		`login u:alice p:"sec\"`:                          "syntax:p",
		`login u:alice p:"sec"ret`:                        "syntax:p",
		"register u:alice p:secret":                       "syntax:n",
		"validatephone n:+49 c:1":                         "syntax:n,p",
		"token":                                           "syntax:t",
		"token u:alice p:secret":                          "syntax:p,t,u",
		"visit x:1":                                       "syntax:x",
		"POST / HTTP/1.1":                                 "syntax:",
		"login u:alice p:" + strings.Repeat("x", MaxLine): "syntax:",
	} {
		r, err := Parse(text)
		var e *SyntaxError
		if !errors.As(err, &e) || string(Syntax(err)) != want {
			t.Errorf("%.80q: got %v, %v; want %s", text, r, err, want)
		}
		if reply, err := ParseReply(strings.TrimSuffix(Nop(Syntax(err)).Line(), "\n")); err != nil || reply.Reason != Reason(want) {
			t.Errorf("%.80q: the reply %v does not read back: %v", text, reply, err)
		}
	}
}

// A line that cannot be one any more is judged at once, without waiting for its end.
func TestTooLongWithoutEnd(t *testing.T) {
	for text, want := range map[string]bool{
		strings.Repeat("x", MaxLine):          false,
		strings.Repeat("x", MaxLine) + "\r":   false,
		strings.Repeat("x", MaxLine+1):        true,
		strings.Repeat("x", MaxLine) + "\rx":  true,
		strings.Repeat("x", MaxLine+1) + "\r": true,
	} {
		waits := errors.New("waits for more")
		_, err := NewReader(io.MultiReader(strings.NewReader(text), iotest.ErrReader(waits))).ReadLine()
		if over := errors.Is(err, ErrTooLong) || errors.Is(err, ErrNotText); over != want || !over && !errors.Is(err, waits) {
			t.Errorf("%d bytes, …%q: %v", len(text), text[MaxLine-1:], err)
		}
	}
}

func TestLongestLine(t *testing.T) {
	head := "login u:alice p:"
	for _, end := range []string{"\n", "\r\n"} {
		for size, want := range map[int]error{MaxLine - 1: nil, MaxLine: nil, MaxLine + 1: ErrTooLong, MaxLine + 2: ErrTooLong, 1 << 20: ErrTooLong} {
			text := head + strings.Repeat("x", size-len(head))
			for _, src := range []io.Reader{strings.NewReader(text + end), iotest.OneByteReader(strings.NewReader(text + end))} {
				got, err := NewReader(src).ReadLine()
				if !errors.Is(err, want) || want == nil && got != text {
					t.Errorf("%d bytes: got %d, %v; want %v", size, len(got), err, want)
				}
			}
			if _, err := Parse(text); (err == nil) != (want == nil) {
				t.Errorf("Parse, %d bytes: %v", size, err)
			}
		}
	}
}

func TestReader(t *testing.T) {
	long := strings.Repeat("y", MaxLine)
	for _, c := range []struct {
		in    string
		lines []string
		err   error
	}{
		{"", nil, io.EOF},
		{"a\nb\r\n\nc\n", []string{"a", "b", "", "c"}, io.EOF},
		{"a\nb", []string{"a"}, io.ErrUnexpectedEOF},
		{"a\nb\r", []string{"a"}, io.ErrUnexpectedEOF},
		{"a\r\r\n", nil, ErrNotText},
		{"a\rb\n", nil, ErrNotText},
		{"a\n\rb\n", []string{"a"}, ErrNotText},
		{"\ra\n", nil, ErrNotText},
		{"\r\r\n", nil, ErrNotText},
		{"a\r b\r\n", nil, ErrNotText},
		{"a\x00", nil, ErrNotText},
		{"\x16\x03\x01\x02\x00", nil, ErrNotText},
		{"a\tb\n", nil, ErrNotText},
		{"a\nb\x7f", []string{"a"}, ErrNotText},
		{strings.Repeat(long+"\n", 3), []string{long, long, long}, io.EOF},
		{"a\n" + long + long, []string{"a"}, ErrTooLong},
	} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "halves": iotest.HalfReader, "with its error": iotest.DataErrReader} {
			r := NewReader(wrap(strings.NewReader(c.in)))
			for _, want := range c.lines {
				if got, err := r.ReadLine(); err != nil || got != want {
					t.Fatalf("%.40q, %s: got %.40q, %v; want %.40q", c.in, name, got, err, want)
				}
			}
			for range 2 {
				if got, err := r.ReadLine(); !errors.Is(err, c.err) || got != "" {
					t.Errorf("%.40q, %s: got %.40q, %v; want %v", c.in, name, got, err, c.err)
				}
			}
		}
	}
}

func TestUnread(t *testing.T) {
	for rest := range 2000 {
		behind := strings.Repeat("\x00z", rest)
		src := strings.NewReader("token t:x\r\n" + behind)
		r := NewReader(src)
		if got, err := r.ReadLine(); err != nil || got != "token t:x" {
			t.Fatal(got, err)
		}
		n := r.Buffered()
		unread := string(r.Unread())
		left, _ := io.ReadAll(src)
		if len(unread) != n || unread+string(left) != behind {
			t.Fatalf("%d bytes behind the line: %d unread and %d in the stream", len(behind), len(unread), len(left))
		}
		if _, err := r.ReadLine(); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	}
}

func TestReply(t *testing.T) {
	at := time.Date(2026, 11, 21, 9, 0, 0, 999, time.FixedZone("CET", 3600))
	for _, c := range []struct {
		reply Reply
		want  string
	}{
		{Reply{}, "ok\n"},
		{Reply{Token: "aa.bb.cc", Expires: at}, "ok aa.bb.cc 2026-11-21T08:00:00Z\n"},
		{Nop(Credentials), "nop credentials\n"},
		{Nop(Syntax(&SyntaxError{Keys: []Key{"p", "u"}})), "nop syntax:p,u\n"},
		{Nop(Syntax(&SyntaxError{})), "nop syntax:\n"},
	} {
		if got := c.reply.Line(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
		back, err := ParseReply(strings.TrimSuffix(c.want, "\n"))
		if err != nil || back.Line() != c.want {
			t.Errorf("%q reads back as %q, %v", c.want, back.Line(), err)
		}
	}
	for _, text := range []string{
		"", "OK", "ok ", "ok a", "ok a b", "ok a 2026-11-21T08:00:00+01:00", "ok a 2026-11-21T08:00:00.5Z", "ok  2026-11-21T08:00:00Z",
		"ok a 2026-11-21T08:00:00Z ", "nop", "nop ", "nop a b", "nop A", "nop a,b", "nop syntax:,", "nop syntax:a,", "yes",
	} {
		if r, err := ParseReply(text); err == nil {
			t.Errorf("%q was read as %v", text, r)
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	r, _ := Parse("login u:alice p:swordfish")
	reply := Reply{Token: "swordfish", Expires: time.Now()}
	for _, text := range []string{sprint(r), sprint(&r), sprint(reply), sprint(&reply)} {
		if strings.Contains(text, "swordfish") {
			t.Errorf("printed: %s", text)
		}
	}
}
