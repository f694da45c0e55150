package relay

import "time"

// Goodbye finds the close frame in what a peer sends, whatever else that is. It takes every byte from the handshake on.
type Goodbye struct {
	frames  frames
	held    [maxHeader]byte // the beginning of a frame header
	nheld   int
	key     [4]byte // the mask of the close frame; zero where there is none
	payload []byte  // of the close frame, as far as it has come
	begun   bool    // the header of the close frame has come, and it has a payload
}

// Follow takes the next bytes and returns how many of them come before the payload of the close frame.
func (g *Goodbye) Follow(b []byte) int {
	i := 0
	for i < len(b) && !g.begun && !g.frames.closed {
		if n := min(g.frames.left, uint64(len(b)-i)); n > 0 {
			g.frames.left -= n
			i += int(n) //nolint:gosec // at most what there is of b
			continue
		}
		g.held[g.nheld] = b[i]
		g.nheld++
		i++
		g.header(g.held[:g.nheld])
	}
	if g.begun {
		g.take(b[i:])
	}
	return i
}

// header looks at the beginning of a frame header.
func (g *Goodbye) header(h []byte) {
	size := g.frames.anyHeader(h)
	if size == 0 {
		return
	}
	g.nheld = 0
	if !g.frames.closing {
		return
	}
	if g.begun = g.frames.left > 0; !g.begun {
		g.frames.closed = true
	}
	if h[1]&maskBit != 0 {
		copy(g.key[:], h[size-4:])
	}
}

// take adds to the payload of the close frame.
func (g *Goodbye) take(b []byte) {
	n := min(g.frames.left, uint64(len(b)))
	g.frames.left -= n
	for _, c := range b[:n] {
		if len(g.payload) < maxControl { // one that is longer is broken
			g.payload = append(g.payload, c^g.key[len(g.payload)%4])
		}
	}
	g.frames.closed = g.frames.left == 0
}

// Begun reports whether the payload of the close frame is under way or complete.
func (g *Goodbye) Begun() bool { return g.begun }

// Said reports whether the close frame has come, and returns its payload.
func (g *Goodbye) Said() ([]byte, bool) { return g.payload, g.frames.closed }

// HearOut is the end of a connection to a client that was sent a close frame: it reads and discards until the client's
// own close frame has come, half-closes, and waits for the client to end. Closed earlier, many a client would report that
// the connection broke; closed with unread data, the kernel's reset would overtake the frame. The read deadline of c bounds
// it, whatever the client sends.
func (g *Goodbye) HearOut(c Conn) {
	var buf [smallBuffer]byte // thousands may wait at once
	var err error
	for err == nil && !g.frames.closed {
		var n int
		n, err = c.Read(buf[:])
		g.Follow(buf[:n])
	}
	_ = c.CloseWrite()
	for err == nil {
		_, err = c.Read(buf[:])
	}
}

// Dismiss closes a connection whose handshake was only completed to say why it is refused. early is what the client sent
// with it.
func Dismiss(c Conn, early []byte, code CloseCode) {
	defer c.Close()
	deadline := time.Now().Add(defaultTimes.close)
	_ = c.SetWriteDeadline(deadline)
	_ = c.SetReadDeadline(deadline)
	if _, err := c.Write(CloseFrame(code, false)); err != nil {
		return // the client is gone
	}
	var g Goodbye
	g.Follow(early)
	g.HearOut(c)
}
