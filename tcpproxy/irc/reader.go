package irc

import (
	"bytes"
	"errors"
	"io"
)

// What is no line.
var (
	ErrTooLong = errors.New("the line is too long") // it was skipped
	ErrEndless = errors.New("the line has no end")
)

// maxSkip is how much of a line is read that is too long before it is given up on.
const maxSkip = 64 << 10

// Reader takes lines from a stream. It holds one buffer of a fixed size, and never reads further than that.
type Reader struct {
	src        io.Reader
	maxTags    int
	buf        []byte
	start, end int // of what was read and not given out
	err        error
}

// NewReader makes one that reads from src, where messages may have tags of so many bytes.
func NewReader(src io.Reader, maxTags int) *Reader {
	return &Reader{src: src, maxTags: maxTags, buf: make([]byte, maxTags+MaxLine)}
}

// ReadLine returns the next line without its end, until the next call. Of a line that is too long it returns ErrTooLong,
// and then the line after it. Every other error is for good: at the end of the stream [io.EOF], or [io.ErrUnexpectedEOF]
// where that is in the middle of a line.
func (r *Reader) ReadLine() ([]byte, error) {
	skipped := 0
	for seen := r.start; r.err == nil; {
		if i := bytes.IndexByte(r.buf[seen:r.end], '\n'); i >= 0 {
			line := bytes.TrimSuffix(r.buf[r.start:seen+i], []byte("\r"))
			r.start = seen + i + 1
			if skipped > 0 || !fits(line, r.maxTags) {
				return nil, ErrTooLong
			}
			return line, nil
		}
		if r.end-r.start == len(r.buf) {
			if skipped += r.end - r.start; skipped > maxSkip {
				r.err = ErrEndless
				break
			}
			r.start = r.end
		}
		if r.end == len(r.buf) {
			r.end = copy(r.buf, r.buf[r.start:r.end])
			r.start = 0
		}
		seen = r.end
		n, err := r.src.Read(r.buf[r.end:])
		r.end += n
		if n == 0 && err != nil {
			if r.err = err; errors.Is(err, io.EOF) && (r.end > r.start || skipped > 0) {
				r.err = io.ErrUnexpectedEOF
			}
		}
	}
	return nil, r.err
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
