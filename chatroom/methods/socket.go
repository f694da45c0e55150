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

	"github.com/chatgate/chatgate/chatroom"
)

// errFlood is a message of a few bytes in very many frames.
var errFlood = errors.New("a message is spread over too many frames")

// wire is a connection whose handshake is over, as gorilla wants it. It bounds what one message may cost to read.
type wire struct {
	chatroom.Conn
	early    []byte // what came with the handshake
	open     bool   // what is written goes out
	capacity int64  // bytes of frames that a message may take
	left     atomic.Int64
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := 0, error(nil)
	if len(w.early) > 0 {
		n = copy(b, w.early)
		if w.early = w.early[n:]; len(w.early) == 0 {
			w.early = nil
		}
	} else {
		n, err = w.Conn.Read(b)
	}
	if w.left.Add(-int64(n)) < 0 {
		return 0, errFlood
	}
	return n, err
}

// refill is for the next message.
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

// newSocket speaks WebSocket, as a server and without extensions, over a connection whose handshake is over. Gorilla
// makes such a thing only of a handshake of its own; so it gets one, whose answer goes nowhere.
func newSocket(conn chatroom.Conn, early []byte, maxMessage int) (*websocket.Conn, *wire, error) {
	// As single bytes, each in a frame of its own, a message takes seven times its size.
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

// takenOver is the response writer of a request that was answered elsewhere.
type takenOver struct{ w *wire }

func (t takenOver) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return t.w, bufio.NewReadWriter(bufio.NewReaderSize(t.w, 16), bufio.NewWriterSize(t.w, 16)), nil
}

func (takenOver) Header() http.Header         { return http.Header{} }
func (takenOver) Write(b []byte) (int, error) { return len(b), nil }
func (takenOver) WriteHeader(int)             {}
