package line

import (
	"errors"
	"io"

	"github.com/chatgate/chatgate/tcpproxy/stream"
)

// Why ReadLine returns no line.
var (
	ErrTooLong = errors.New("the line is too long")
	ErrNotText = errors.New("the line is not text") // reported before the line has ended: it may never do
)

// Reader takes lines from a stream. It holds one buffer of a fixed size and never reads further than that.
type Reader struct{ lines *stream.Lines }

// NewReader reads from src.
func NewReader(src io.Reader) *Reader {
	return &Reader{stream.NewLines(src, MaxLine+len("\r\n"))}
}

// ReadLine returns the next line without its end. At the end of the stream it returns [io.EOF], or [io.ErrUnexpectedEOF]
// in the middle of a line. After an error there are no more lines.
func (r *Reader) ReadLine() (string, error) {
	for r.lines.Err() == nil {
		text, whole := r.lines.Next()
		switch tooLong := len(text) > MaxLine; {
		case whole && tooLong:
			r.lines.Fail(ErrTooLong)
		case !printable(text):
			r.lines.Fail(ErrNotText)
		case tooLong:
			r.lines.Fail(ErrTooLong)
		case whole:
			return string(text), nil
		default:
			r.lines.Read()
		}
	}
	return "", r.lines.Err()
}

// printable reports whether text has no ASCII control character. Parse checks for the others once the line is whole.
func printable(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c == 0x7F {
			return false
		}
	}
	return true
}

// Unread returns what was read beyond the last line, for the next owner of the stream. The reader then has no more lines.
func (r *Reader) Unread() []byte { return r.lines.Unread() }

// Buffered returns how many bytes are unread.
func (r *Reader) Buffered() int { return r.lines.Buffered() }
