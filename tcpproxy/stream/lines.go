package stream

import (
	"bytes"
	"errors"
	"io"
)

// Lines takes lines from a stream. It holds one buffer of a fixed size and never reads further than that.
type Lines struct {
	src        io.Reader
	buf        []byte
	start, end int // of what was read and not returned
	seen       int // no line ends between start and here
	skipped    int // bytes of the current line
	err        error
}

// NewLines reads from src into a buffer of a size.
func NewLines(src io.Reader, size int) *Lines { return &Lines{src: src, buf: make([]byte, size)} }

// Next returns the next line without its end, valid until the next call, or what has arrived of a line that is not whole
// yet. Then the caller calls Read, and Skip first if the buffer is Full.
func (l *Lines) Next() (text []byte, whole bool) {
	if i := bytes.IndexByte(l.buf[l.seen:l.end], '\n'); i >= 0 {
		text, whole = l.buf[l.start:l.seen+i], true
		l.start = l.seen + i + 1
		l.seen, l.skipped = l.start, 0
	} else {
		text = l.buf[l.start:l.end]
		l.seen = l.end
	}
	return bytes.TrimSuffix(text, []byte("\r")), whole
}

// Full reports whether a line that is not whole fills the buffer.
func (l *Lines) Full() bool { return l.end-l.start == len(l.buf) }

// Skip forgets what has arrived of the current line, and returns how many bytes of it were skipped so far.
func (l *Lines) Skip() int {
	l.skipped += l.end - l.start
	l.start = l.end
	l.seen = l.end
	return l.skipped
}

// Read reads on. At the end of the stream Err is [io.EOF] from then on, or [io.ErrUnexpectedEOF] in the middle of a line.
func (l *Lines) Read() {
	if l.Full() { // the caller's mistake, which would have it ask for ever
		l.err = io.ErrShortBuffer
		return
	}
	if l.end == len(l.buf) {
		l.end = copy(l.buf, l.buf[l.start:l.end])
		l.seen -= l.start
		l.start = 0
	}
	n, err := l.src.Read(l.buf[l.end:])
	l.end += n
	if n == 0 && err != nil {
		if l.err = err; errors.Is(err, io.EOF) && l.end-l.start+l.skipped > 0 {
			l.err = io.ErrUnexpectedEOF
		}
	}
}

// Fail ends the lines with an error.
func (l *Lines) Fail(err error) { l.err = err }

// Err says why there are no more lines, if there are none.
func (l *Lines) Err() error { return l.err }

// Unread returns what was read beyond the last line, for the next owner of the stream. There are no more lines then.
func (l *Lines) Unread() []byte {
	rest := bytes.Clone(l.buf[l.start:l.end])
	l.start, l.seen = l.end, l.end
	if l.err == nil {
		l.err = io.EOF
	}
	return rest
}

// Buffered returns how many bytes were read and not returned.
func (l *Lines) Buffered() int { return l.end - l.start }
