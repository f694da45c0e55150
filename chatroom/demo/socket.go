package demo

import (
	"errors"
	"io"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// times are how long a socket waits for what.
type times struct {
	write  time.Duration // for the peer to take a frame
	ping   time.Duration // between pings
	silent time.Duration // without a pong
	linger time.Duration // for the peer's close frame, after ours
	breath time.Duration // for late members to catch up, before this one's next message is read
}

var defaultTimes = times{
	write:  10 * time.Second,
	ping:   30 * time.Second,
	silent: 75 * time.Second,
	linger: 2 * time.Second,
	breath: 5 * time.Millisecond,
}

// socket carries one member. Its reader is the caller of serve, its writer a goroutine that serve waits for; the
// writer alone sends data frames.
type socket struct {
	conn   *websocket.Conn
	room   *room
	member *member
	times  times
	limit  int // bytes of text
	now    func() time.Time
}

func (s *socket) serve() {
	s.room.join(s.member)
	gone := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { s.write(gone) })
	s.read()
	s.room.part(s.member)
	close(gone)
	_ = s.conn.Close() // wakes a writer that is stuck
	writer.Wait()
}

func (s *socket) read() {
	s.conn.SetReadLimit(readLimit(s.limit))
	alive := func(string) error { return s.conn.SetReadDeadline(time.Now().Add(s.times.silent)) }
	s.conn.SetPongHandler(alive)
	if alive("") != nil {
		return
	}
	for {
		kind, data, err := s.conn.ReadMessage()
		if errors.Is(err, websocket.ErrReadLimit) {
			s.drain()
		}
		if err != nil {
			return
		}
		if err := s.receive(kind, data); err != nil {
			s.answer(failure{err.Error()})
		}
	}
}

// receive publishes one message, or returns what is wrong with it.
func (s *socket) receive(kind int, data []byte) error {
	if !s.member.writes {
		return errReadOnly
	}
	text, err := decode(kind, data, s.limit)
	if err != nil {
		return err
	}
	if s.room.publish(s.member, text, s.now()) {
		time.Sleep(s.times.breath)
	}
	return nil
}

// answer waits for room in the queue: a member that sends nonsense and does not read only holds itself up.
func (s *socket) answer(f failure) {
	select {
	case s.member.queue <- encode(f):
	case <-s.member.done:
	}
}

// drain reads what the peer is still sending. Closing with unread bytes would reset the connection, and the peer would never
// see the close frame that tells why.
func (s *socket) drain() {
	if s.conn.SetReadDeadline(time.Now().Add(s.times.linger)) == nil {
		_, _ = io.CopyN(io.Discard, s.conn.NetConn(), 1<<20)
	}
}

// write sends the backlog, then the queue, until the member is ended, the reader is gone or the peer reads no more.
func (s *socket) write(gone <-chan struct{}) {
	defer func() {
		_ = s.conn.Close()                                   // wakes a reader that waits for the peer
		s.member.end(websocket.CloseAbnormalClosure, "gone") // and one that waits for us
	}()
	for _, data := range s.member.backlog {
		if err := s.send(data); err != nil {
			s.hearOut(err, gone)
			return
		}
	}
	s.member.backlog = nil
	ping := time.NewTicker(s.times.ping)
	defer ping.Stop()
	for {
		select {
		case <-s.member.done: // before what is still queued
			s.sayGoodbye(gone)
			return
		default:
		}
		select {
		case data := <-s.member.queue:
			if err := s.send(data); err != nil {
				s.hearOut(err, gone)
				return
			}
		case <-ping.C:
			if err := s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(s.times.write)); err != nil {
				s.hearOut(err, gone)
				return
			}
		case <-s.member.done:
		case <-gone:
			return
		}
	}
}

// hearOut waits for the reader to drain the connection if a write failed because the reader has sent a close frame.
func (s *socket) hearOut(err error, gone <-chan struct{}) {
	if !errors.Is(err, websocket.ErrCloseSent) {
		return
	}
	select {
	case <-gone:
	case <-time.After(s.times.linger):
	}
}

func (s *socket) send(data []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.times.write)); err != nil {
		return err
	}
	return s.conn.WriteMessage(websocket.TextMessage, data)
}

// sayGoodbye sends the close frame and gives the peer a moment to answer it.
func (s *socket) sayGoodbye(gone <-chan struct{}) {
	bye := websocket.FormatCloseMessage(s.member.code, s.member.reason)
	if s.conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(s.times.linger)) != nil {
		return
	}
	select {
	case <-gone:
	case <-time.After(s.times.linger):
	}
}
