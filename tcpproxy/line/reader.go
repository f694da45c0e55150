package line

import (
	"bytes"
	"errors"
	"io"
)

// What is no line.
var (
	ErrTooLong = errors.New("the line is too long")
	ErrNotText = errors.New("not a line of text") // known before the line has ended: it may never do
)

// Reader takes lines from a stream. It holds one buffer of a fixed size, and never reads further than that.
type Reader struct {
	src        io.Reader
	start, end int // of what was read and not given out
	err        error
	buf        [MaxLine + len("\r\n")]byte
}

// NewReader makes one that reads from src.
func NewReader(src io.Reader) *Reader { return &Reader{src: src} }

// ReadLine returns the next line without its end. At the end of the stream it returns [io.EOF], or
// [io.ErrUnexpectedEOF] where that is in the middle of a line. After an error there are no more lines.
func (r *Reader) ReadLine() (string, error) {
	for seen := r.start; r.err == nil; {
		if i := bytes.IndexByte(r.buf[seen:r.end], '\n'); i >= 0 {
			text := bytes.TrimSuffix(r.buf[r.start:seen+i], []byte("\r"))
			r.start = seen + i + 1
			switch {
			case len(text) > MaxLine:
				r.err = ErrTooLong
			case !printable(text):
				r.err = ErrNotText
			default:
				return string(text), nil
			}
			break
		}
		// A carriage return may only be the last thing before the end that is still to come.
		if begun := r.buf[r.start:r.end]; !printable(bytes.TrimSuffix(begun, []byte("\r"))) {
			r.err = ErrNotText
			break
		}
		if n := r.end - r.start; n > MaxLine && (n > MaxLine+1 || r.buf[r.start+MaxLine] != '\r') {
			r.err = ErrTooLong
			break
		}
		if r.end == len(r.buf) {
			r.end = copy(r.buf[:], r.buf[r.start:r.end])
			r.start = 0
		}
		seen = r.end
		n, err := r.src.Read(r.buf[r.end:])
		r.end += n
		if n == 0 && err != nil {
			if r.err = err; err == io.EOF && r.end > r.start {
				r.err = io.ErrUnexpectedEOF
			}
		}
	}
	return "", r.err
}

// printable reports whether text has no ASCII control character. Parse looks at the others, once it is whole.
func printable(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c == 0x7F {
			return false
		}
	}
	return true
}

// Unread returns what was read behind the last line, for whom the stream belongs to from here on. The reader has nothing
// more to give then.
func (r *Reader) Unread() []byte {
	rest := bytes.Clone(r.buf[r.start:r.end])
	r.start = r.end
	if r.err == nil {
		r.err = io.EOF
	}
	return rest
}

// Buffered reports how many bytes are unread.
func (r *Reader) Buffered() int { return r.end - r.start }
