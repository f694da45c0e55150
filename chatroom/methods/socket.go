package methods

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/chatgate/chatgate/chatroom/relay"
)

// errFlood is for a small message in very many frames.
var errFlood = errors.New("a message is spread over too many frames")

// wire is a connection after its handshake, in the form that gorilla needs. It bounds what one message may cost to read.
type wire struct {
	relay.Conn
	early    []byte // what came with the handshake
	open     bool   // writes go out
	capacity int64  // bytes of frames allowed for one message
	left     atomic.Int64
	bye      relay.Goodbye // the client's; only the reader uses it
}

// Read withholds the payload of the client's close frame from gorilla and judges it: gorilla does not know every code, takes
// a payload of one byte for an empty one, and a reason that is not UTF-8 for a protocol error.
func (w *wire) Read(b []byte) (int, error) {
	if w.bye.Begun() {
		return 0, closeError(&w.bye, w.next)
	}
	n, err := w.next(b)
	return w.bye.Follow(b[:n]), err
}

func (w *wire) next(b []byte) (n int, err error) {
	if len(w.early) > 0 {
		n = copy(b, w.early)
		if w.early = w.early[n:]; len(w.early) == 0 {
			w.early = nil
		}
	} else {
		n, err = w.Conn.Read(b)
	}
	if w.left.Add(-int64(n)) < 0 && err == nil {
		return n, errFlood // in which Read still looks for the close frame
	}
	return n, err
}

// hearOut waits for the client's close frame, after ours, and for the end of the connection.
func (w *wire) hearOut() {
	w.bye.Follow(w.early)
	w.bye.HearOut(w.Conn)
}

// closeError reads a close frame to its end and returns what it says as an error.
func closeError(bye *relay.Goodbye, read func([]byte) (int, error)) error {
	payload, said := bye.Said()
	for buf := make([]byte, 128); !said; payload, said = bye.Said() {
		n, err := read(buf)
		bye.Follow(buf[:n])
		if _, said = bye.Said(); err != nil && !said {
			return err
		}
	}
	code, reason, fault := relay.ParseClose(payload)
	if fault != 0 {
		return badClose(fault)
	}
	return &websocket.CloseError{Code: int(code), Text: reason}
}

// badClose is the error of a close frame that breaks a rule: the code to answer it with.
type badClose relay.CloseCode

func (c badClose) Error() string {
	return "the close frame is broken: " + relay.CloseCode(c).Reason()
}

// legWire is a connection to an upstream, in the form that gorilla needs. After the answer to the handshake it treats close
// frames as [wire] does.
type legWire struct {
	net.Conn
	line bool // a line of the answer's head has just ended
	open bool // the head is over
	bye  relay.Goodbye
}

func (w *legWire) Read(b []byte) (int, error) {
	if w.bye.Begun() {
		return 0, closeError(&w.bye, w.Conn.Read)
	}
	n, err := w.Conn.Read(b)
	head := w.head(b[:n])
	return head + w.bye.Follow(b[head:n]), err
}

// head returns how many bytes of b belong to the answer's head.
func (w *legWire) head(b []byte) int {
	i := 0
	for ; i < len(b) && !w.open; i++ {
		switch b[i] {
		case '\n':
			w.open, w.line = w.line, true
		case '\r':
		default:
			w.line = false
		}
	}
	return i
}

// refill allows another message.
func (w *wire) refill() { w.left.Store(w.capacity) }

func (w *wire) Write(b []byte) (int, error) {
	if !w.open {
		return len(b), nil
	}
	return w.Conn.Write(b)
}

func (w *wire) SetDeadline(t time.Time) error {
	return errors.Join(w.SetReadDeadline(t), w.SetWriteDeadline(t))
}

func (*wire) LocalAddr() net.Addr  { return &net.TCPAddr{} }
func (*wire) RemoteAddr() net.Addr { return &net.TCPAddr{} }

var writeBuffers sync.Pool

// newSocket returns the server side of a WebSocket without extensions over a connection after its handshake. Gorilla makes one
// only from a handshake of its own, so it gets one whose answer goes nowhere.
func newSocket(conn relay.Conn, early []byte, maxMessage int) (*websocket.Conn, *wire, error) {
	// A message takes seven times its size if every byte has a frame of its own.
	w := &wire{Conn: conn, early: early, capacity: 8*int64(maxMessage) + 64<<10}
	w.refill()
	up := websocket.Upgrader{
		ReadBufferSize: 1024, WriteBufferSize: 1024, WriteBufferPool: &writeBuffers,
		CheckOrigin: func(*http.Request) bool { return true },
	}
	ws, err := up.Upgrade(takenOver{w}, &http.Request{Method: http.MethodGet, Header: http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="},
	}}, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("taking the connection over: %w", err)
	}
	w.open = true
	ws.SetReadLimit(int64(maxMessage))
	return ws, w, nil
}

// takenOver is the response writer of a request that has been answered already.
type takenOver struct{ w *wire }

func (t takenOver) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return t.w, bufio.NewReadWriter(bufio.NewReaderSize(t.w, 16), bufio.NewWriterSize(t.w, 16)), nil
}

func (takenOver) Header() http.Header         { return http.Header{} }
func (takenOver) Write(b []byte) (int, error) { return len(b), nil }
func (takenOver) WriteHeader(int)             {}
