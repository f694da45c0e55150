package line

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func sprint(v any) string { return fmt.Sprintf("%v %+v %#v %s", v, v, v, v) }

// FuzzParse holds that what is read can be written, and is then read as the same; and that an error can be shown.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`login u:alice p:secret`, `login u:"a b" p:"\"\\"`, `login u:a"b p:\`, `register u:a p:b n:+1 e:c@d`, `validatephone p:+1 c:2`,
		`validateemail e:a@b c:2`, `token t:a.b.c`, `visit`, `login`, `login u:a u:b`, `login x:`, "login u:a\x00", `login u:"`, "\xff",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text)
		if err != nil {
			var e *SyntaxError
			if !errors.As(err, &e) {
				t.Fatalf("%T", err)
			}
			line := strings.TrimSuffix(Nop(Syntax(err)).Line(), "\n")
			if back, err := ParseReply(line); err != nil || "nop "+string(back.Reason) != line {
				t.Fatalf("%q does not read back: %v", line, err)
			}
			return
		}
		if len(text) > MaxLine || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			t.Fatalf("%q was read", text)
		}
		g := grammar[r.Verb]
		for _, key := range g.required {
			if r.Args[key] == "" {
				t.Fatalf("%q was read without %s", text, key)
			}
		}
		if n := len(r.Args); n < len(g.required) || n > len(g.required)+len(g.optional) {
			t.Fatalf("%q has %d arguments", text, n)
		}
		line := r.Line()
		if len(line) > MaxLine { // where quotes are needed more than they were
			return
		}
		if back, err := Parse(line); err != nil || back.Verb != r.Verb || !maps.Equal(back.Args, r.Args) {
			t.Fatalf("%q, written as %q, is read as %q, %v", text, line, back.Args, err)
		}
	})
}

// FuzzReader holds that no byte is lost or made up, in whatever pieces they come.
func FuzzReader(f *testing.F) {
	f.Add([]byte("login u:a p:b\r\nrest"), uint8(3), uint8(1))
	f.Add([]byte("a\nb\nc"), uint8(1), uint8(2))
	f.Add([]byte("a\r\r\n"), uint8(2), uint8(2))
	f.Add([]byte("\x16\x03\x01"), uint8(9), uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, piece, lines uint8) {
		src := bytes.NewReader(in)
		r := NewReader(pieces{src, int(piece%64) + 1})
		rest := in
		for range lines {
			text, err := r.ReadLine()
			if err != nil {
				if text != "" {
					t.Fatalf("%q with %v", text, err)
				}
				return
			}
			raw, after, _ := bytes.Cut(rest, []byte("\n"))
			if string(bytes.TrimSuffix(raw, []byte("\r"))) != text || len(text) > MaxLine {
				t.Fatalf("got %q of %q", text, raw)
			}
			rest = after
		}
		left, _ := io.ReadAll(src)
		if got := append(r.Unread(), left...); !bytes.Equal(got, rest) {
			t.Fatalf("%q is left of %q", got, rest)
		}
	})
}

type pieces struct {
	io.Reader
	n int
}

func (p pieces) Read(b []byte) (int, error) { return p.Reader.Read(b[:min(len(b), p.n)]) }

// FuzzReply holds that what a client reads is what was written.
func FuzzReply(f *testing.F) {
	for _, s := range []string{"ok", "ok a.b.c 2026-11-21T08:00:00Z", "nop credentials", "nop syntax:a,b", "nop syntax:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseReply(text)
		if err == nil && r.Line() != text+"\n" {
			t.Fatalf("%q is written as %q", text, r.Line())
		}
	})
}
