package relay

import "time"

// Goodbye finds the close frame in whatever a peer sends. It must see every byte from the handshake on.
type Goodbye struct {
	headers scanner
	held    [maxHeader]byte // the beginning of a frame header
	nheld   int
	key     [4]byte // the mask of the close frame; zero where there is none
	payload []byte  // of the close frame, as far as it has come
	begun   bool    // the header of the close frame has come, and it has a payload
}

// Follow reads the next bytes and returns how many of them come before the payload of the close frame.
func (g *Goodbye) Follow(b []byte) int {
	i := 0
	for i < len(b) && !g.begun && !g.headers.closed {
		if n := min(g.headers.left, uint64(len(b)-i)); n > 0 {
			g.headers.left -= n
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

// header reads h, which may be only the beginning of a frame header.
func (g *Goodbye) header(h []byte) {
	size := g.headers.anyHeader(h)
	if size == 0 {
		return
	}
	g.nheld = 0
	if !g.headers.closing {
		return
	}
	if g.begun = g.headers.left > 0; !g.begun {
		g.headers.closed = true
	}
	if h[1]&maskBit != 0 {
		copy(g.key[:], h[size-4:])
	}
}

// take collects the payload of the close frame.
func (g *Goodbye) take(b []byte) {
	n := min(g.headers.left, uint64(len(b)))
	g.headers.left -= n
	for _, c := range b[:n] {
		if len(g.payload) < maxControl { // a longer one breaks the rules anyway
			g.payload = append(g.payload, c^g.key[len(g.payload)%4])
		}
	}
	g.headers.closed = g.headers.left == 0
}

// Begun reports whether the payload of the close frame is under way or complete.
func (g *Goodbye) Begun() bool { return g.begun }

// Said reports whether the close frame has come, and returns its payload.
func (g *Goodbye) Said() ([]byte, bool) { return g.payload, g.headers.closed }

// HearOut ends a connection to a client that was sent a close frame. It discards what the client sends until the client's
// own close frame has come, half-closes, and waits for the client to end. Closed earlier, many a client would report that
// the connection broke; closed with unread data, the kernel's reset would overtake the frame. The caller sets the read
// deadline of c, which bounds all of it.
func (g *Goodbye) HearOut(c Conn) {
	var buf [smallBuffer]byte // small, since thousands may wait at once
	var err error
	for err == nil && !g.headers.closed {
		var n int
		n, err = c.Read(buf[:])
		g.Follow(buf[:n])
	}
	_ = c.CloseWrite()
	for err == nil {
		_, err = c.Read(buf[:])
	}
}

// Dismiss ends a connection whose handshake was only completed to tell the client why it is refused. early is what the
// client sent with the handshake.
func Dismiss(c Conn, early []byte, code CloseCode) { dismiss(c, early, code, &defaultTimes) }

func dismiss(c Conn, early []byte, code CloseCode, t *times) {
	defer c.Close()
	deadline := time.Now().Add(t.close)
	_ = c.SetWriteDeadline(deadline)
	_ = c.SetReadDeadline(deadline)
	if _, err := c.Write(CloseFrame(code, false)); err != nil {
		return // the client is gone
	}
	var g Goodbye
	g.Follow(early)
	g.HearOut(c)
}
