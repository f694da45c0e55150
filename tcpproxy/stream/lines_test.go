package stream_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/chatgate/chatgate/tcpproxy/stream"
)

const size = 8 // of the buffer

// read returns all lines; one that fills the buffer before its end is skipped, and is "!".
func read(l *stream.Lines) (lines []string, err error) {
	skipped := 0
	for l.Err() == nil {
		text, whole := l.Next()
		switch {
		case whole && skipped > 0:
			lines, skipped = append(lines, "!"), 0
		case whole:
			lines = append(lines, string(text))
		case l.Full():
			skipped = l.Skip()
		default:
			l.Read()
		}
	}
	return lines, l.Err()
}

func TestLines(t *testing.T) {
	for _, c := range []struct {
		in    string
		lines []string
		err   error
	}{
		{"", nil, io.EOF},
		{"a\nb\r\n\n\r\nc\n", []string{"a", "b", "", "", "c"}, io.EOF},
		{"a\nb", []string{"a"}, io.ErrUnexpectedEOF},
		{"a\nb\r", []string{"a"}, io.ErrUnexpectedEOF},
		{"a\rb\r\r\n", []string{"a\rb\r"}, io.EOF},
		{"1234567\n12345\r\n123456\r\n", []string{"1234567", "12345", "123456"}, io.EOF},
		{"12345678\na\n", []string{"!", "a"}, io.EOF},
		{"1234567\r\na\n", []string{"!", "a"}, io.EOF},
		{strings.Repeat("x", 20*size) + "\r\na\n", []string{"!", "a"}, io.EOF},
		{"a\n" + strings.Repeat("x", size), []string{"a"}, io.ErrUnexpectedEOF},
		{"a\n" + strings.Repeat("x", 5*size), []string{"a"}, io.ErrUnexpectedEOF},
		{strings.Repeat("ab\n", 100), slices.Repeat([]string{"ab"}, 100), io.EOF},
	} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "halves": iotest.HalfReader, "with its error": iotest.DataErrReader,
		} {
			lines, err := read(stream.NewLines(wrap(strings.NewReader(c.in)), size))
			if !slices.Equal(lines, c.lines) || !errors.Is(err, c.err) {
				t.Errorf("%q, %s: %q, %v", c.in, name, lines, err)
			}
		}
	}
}

// Whatever the lines do not take is there for the next owner, in the buffer and in the stream.
func TestUnread(t *testing.T) {
	for n := range 3 * size {
		behind := strings.Repeat("\nz", n)
		src := strings.NewReader("a\r\n" + behind)
		l := stream.NewLines(src, size)
		l.Read()
		if text, whole := l.Next(); string(text) != "a" || !whole {
			t.Fatalf("%q, %v", text, whole)
		}
		buffered := l.Buffered()
		unread := l.Unread()
		left, _ := io.ReadAll(src)
		if len(unread) != buffered || string(unread)+string(left) != behind {
			t.Errorf("of %q %q is unread and %q in the stream", behind, unread, left)
		}
		if text, whole := l.Next(); whole || len(text) > 0 || !errors.Is(l.Err(), io.EOF) {
			t.Errorf("then, %q, %v, %v", text, whole, l.Err())
		}
	}
}

// An error, be it the stream's or the caller's, ends the lines for good.
func TestFail(t *testing.T) {
	broken := errors.New("broken")
	l := stream.NewLines(iotest.ErrReader(broken), size)
	l.Read()
	if _, err := read(l); !errors.Is(err, broken) {
		t.Error(err)
	}
	l = stream.NewLines(strings.NewReader(strings.Repeat("x", 2*size)), size)
	for range size + 1 {
		l.Read()
	}
	if _, err := read(l); !errors.Is(err, io.ErrShortBuffer) {
		t.Error(err)
	}
	l = stream.NewLines(strings.NewReader("a\n"), size)
	l.Fail(broken)
	l.Unread()
	if _, err := read(l); !errors.Is(err, broken) {
		t.Error(err)
	}
}
