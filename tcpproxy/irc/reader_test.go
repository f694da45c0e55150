package irc

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReader(t *testing.T) {
	long := strings.Repeat("x", 510)
	for name, c := range map[string]struct {
		text string
		want []string // "!" is a line that is too long
		err  error
	}{
		"lines":    {"a\r\nb\n\r\nc d\r\n", []string{"a", "b", "", "c d"}, io.EOF},
		"half":     {"a\r\nb", []string{"a"}, io.ErrUnexpectedEOF},
		"limit":    {long + "\r\nb\n", []string{long, "b"}, io.EOF},
		"too long": {long + "x\r\nb\n", []string{"!", "b"}, io.EOF},
		"tags":     {"@" + strings.Repeat("t", 4094) + " " + long + "\r\nb\n", []string{"@" + strings.Repeat("t", 4094) + " " + long, "b"}, io.EOF},
		"tagged":   {"@" + strings.Repeat("t", 4095) + " a\r\nb\n", []string{"!", "b"}, io.EOF},
		"skipped":  {strings.Repeat(long, 30) + "\r\nb\n", []string{"!", "b"}, io.EOF},
		"endless":  {strings.Repeat(long, 300), nil, ErrEndless},
		"no end":   {strings.Repeat(long, 30), nil, io.ErrUnexpectedEOF},
	} {
		for _, src := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.DataErrReader, func(r io.Reader) io.Reader { return r }} {
			widest := &widest{Reader: src(strings.NewReader(c.text))}
			r := NewReader(widest, MaxClientTags)
			var got []string
			var err error
			for {
				var line []byte
				if line, err = r.ReadLine(); errors.Is(err, ErrTooLong) {
					got = append(got, "!")
					continue
				}
				if err != nil {
					break
				}
				got = append(got, string(line))
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") || !errors.Is(err, c.err) {
				t.Errorf("%s: got %.99q, %v", name, got, err)
			}
			if widest.asked != MaxClientTags+MaxLine {
				t.Errorf("the buffer has %d bytes", widest.asked)
			}
		}
	}
}

// widest notes the most that it was asked for at once.
type widest struct {
	io.Reader
	asked int
}

func (w *widest) Read(b []byte) (int, error) {
	w.asked = max(w.asked, len(b))
	return w.Reader.Read(b)
}

func TestReaderUnread(t *testing.T) {
	r := NewReader(strings.NewReader("a\r\nb\r\nc"), 0)
	if line, err := r.ReadLine(); string(line) != "a" || err != nil {
		t.Fatalf("got %q, %v", line, err)
	}
	if n := r.Buffered(); n != 4 {
		t.Errorf("%d bytes are buffered", n)
	}
	if rest := r.Unread(); string(rest) != "b\r\nc" {
		t.Errorf("unread is %q", rest)
	}
	if _, err := r.ReadLine(); !errors.Is(err, io.EOF) {
		t.Errorf("then, %v", err)
	}
}

// Not all of IRC is UTF-8: a byte stays what it is, unless it would end the line.
func TestFormatBytes(t *testing.T) {
	for text, want := range map[string]string{
		"caf\xe9":            "caf\xe9",
		"\xff\xfe \xc3":      "\xff\xfe \xc3",
		"\ufffd\u2028\u0085": "\ufffd\u2028\u0085",
		"a\rb\nc\x00\xe9\r":  "a b c \xe9 ",
	} {
		if got := string(Format("", "USER", "a", "0", "*", text)); got != "USER a 0 * :"+want+"\r\n" {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// FuzzFormat makes lines of anything: each is one line, and what is taken apart is what was put together, as far as it can
// stand there.
func FuzzFormat(f *testing.F) {
	f.Add("a", "b c", ":d")
	f.Add("", "\r\nQUIT", "x\x00")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		line := Format("gate.test", "904", a, b, c)
		if len(line) == 0 || len(line) > MaxLine || bytes.IndexAny(line, "\r\n\x00") != len(line)-2 {
			t.Fatalf("got %q", line)
		}
		m, err := Parse(line[:len(line)-2])
		if err != nil || m.Command != "904" || len(m.Params) != 3 || m.Source != "gate.test" {
			t.Fatalf("got %q, %v, of %q", m.Params, err, line)
		}
		if m.Params[0] != "*" && m.Params[0] != a || m.Params[1] != "*" && m.Params[1] != b {
			t.Fatalf("got %q of %q", m.Params, line)
		}
		if len(line) < 400 && !strings.ContainsAny(c, "\r\n\x00") && m.Params[2] != c {
			t.Fatalf("got %q of %q", m.Params, line)
		}
	})
}
