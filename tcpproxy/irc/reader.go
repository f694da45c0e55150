package irc

import (
	"errors"
	"io"

	"github.com/chatgate/chatgate/tcpproxy/stream"
)

// Why ReadLine returns no line.
var (
	ErrTooLong = errors.New("the line is too long") // and was skipped
	ErrEndless = errors.New("the line does not end")
)

// maxSkip is how many bytes of a line that is too long are skipped before the reader gives up.
const maxSkip = 64 << 10

// Reader takes lines from a stream. It holds one buffer of a fixed size and never reads further than that.
type Reader struct {
	lines   *stream.Lines
	maxTags int
}

// NewReader reads from src, where messages may have up to maxTags bytes of tags.
func NewReader(src io.Reader, maxTags int) *Reader {
	return &Reader{stream.NewLines(src, maxTags+MaxLine), maxTags}
}

// ReadLine returns the next line without its end, valid until the next call. It returns ErrTooLong in place of a line that
// is too long, and goes on with the next one. Every other error is final: [io.EOF] at the end of the stream, or
// [io.ErrUnexpectedEOF] in the middle of a line.
func (r *Reader) ReadLine() ([]byte, error) {
	for skipped := 0; r.lines.Err() == nil; {
		text, whole := r.lines.Next()
		if whole {
			if skipped > 0 || !fits(text, r.maxTags) {
				return nil, ErrTooLong
			}
			return text, nil
		}
		if r.lines.Full() {
			if skipped = r.lines.Skip(); skipped > maxSkip {
				r.lines.Fail(ErrEndless)
				break
			}
		}
		r.lines.Read()
	}
	return nil, r.lines.Err()
}

// Unread returns what was read beyond the last line, for the next owner of the stream. The reader then has no more lines.
func (r *Reader) Unread() []byte { return r.lines.Unread() }

// Buffered returns how many bytes are unread.
func (r *Reader) Buffered() int { return r.lines.Buffered() }
