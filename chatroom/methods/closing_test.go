package methods

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/chatgate/chatgate/chatroom"
	"github.com/chatgate/chatgate/chatroom/relay"
	"github.com/chatgate/chatgate/internal/authtest"
)

// A peer that watches for the end of the stream, as many clients do: one that comes before it has answered the close frame
// is a broken connection to them, whatever the frame said.
type watcher struct {
	t testing.TB
	c net.Conn
	r *bufio.Reader
}

func (s *site) watch() *watcher {
	c, br := s.rawDial("")
	return &watcher{s.t, c, br}
}

func (w *watcher) send(frames ...[]byte) {
	for _, f := range frames {
		_, _ = w.c.Write(f)
	}
}

// frame reads one frame of less than 64 KiB.
func (w *watcher) frame() (op byte, payload []byte, err error) {
	_ = w.c.SetReadDeadline(time.Now().Add(patience))
	h := make([]byte, 8)
	if _, err := io.ReadFull(w.r, h[:2]); err != nil {
		return 0, nil, err
	}
	op, masked, n := h[0]&0x0f, h[1]&0x80 != 0, int(h[1]&0x7f)
	if n == 126 {
		if _, err := io.ReadFull(w.r, h[:2]); err != nil {
			return 0, nil, err
		}
		n = int(binary.BigEndian.Uint16(h))
	}
	key := make([]byte, 4)
	if masked {
		if _, err := io.ReadFull(w.r, key); err != nil {
			return 0, nil, err
		}
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(w.r, payload)
	for i := range payload {
		payload[i] ^= key[i%4]
	}
	return op, payload, err
}

// told expects a close frame, behind whatever comes before it.
func (w *watcher) told(code int) {
	w.t.Helper()
	for {
		op, payload, err := w.frame()
		if err != nil {
			w.t.Fatalf("waiting for close %d: %v", code, err)
		}
		if op != 8 {
			continue
		}
		got := 0
		if len(payload) > 1 {
			got = int(binary.BigEndian.Uint16(payload))
		}
		if got != code {
			w.t.Fatalf("close %d %q, want %d", got, payload, code)
		}
		return
	}
}

// waits expects nothing, not even the end.
func (w *watcher) waits() {
	w.t.Helper()
	_ = w.c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if b, err := w.r.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
		w.t.Fatalf("got % x, %v before the close frame was answered", b, err)
	}
}

func (w *watcher) ended() {
	w.t.Helper()
	_ = w.c.SetReadDeadline(time.Now().Add(patience))
	if b, err := io.ReadAll(w.r); len(b) > 0 || err != nil {
		w.t.Fatalf("got % x, %v; want the end", b, err)
	}
}

var goodbye = clientFrame(0x88, "\x03\xe9")

func TestCloseFrameComesFirst(t *testing.T) {
	for name, way := range map[string]struct {
		act  func(*site, *watcher)
		code int
	}{
		"binary":       {func(_ *site, w *watcher) { w.send(clientFrame(0x82, "x")) }, 1003},
		"not UTF-8":    {func(_ *site, w *watcher) { w.send(clientFrame(0x81, "\xff")) }, 1007},
		"no request":   {func(_ *site, w *watcher) { w.send(clientFrame(0x81, "hello")) }, 1008},
		"too big":      {func(_ *site, w *watcher) { w.send(clientFrame(0x81, strings.Repeat("x", 65<<10))) }, 1009},
		"broken frame": {func(_ *site, w *watcher) { w.send(clientFrame(0x83, "")) }, 1002},
		"shutdown":     {func(s *site, _ *watcher) { authtest.State(s.service).Live().EndAll(t.Context(), 0) }, 1012},
		"failures": {func(_ *site, w *watcher) {
			for range maxFailures {
				w.send(clientFrame(0x81, `{"m":"user_token_auth","r":1,"d":{"token":"x"}}`))
			}
		}, 4429},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slow := defaultTimes
			slow.linger = 3 * patience // the end is to come with the answer, not when the wait for one is over
			s := newSite(t, authtest.Service(t), Options{times: slow})
			w := s.watch()
			w.send(clientFrame(0x81, `{"m":"user_logout","r":1}`))
			if _, _, err := w.frame(); err != nil {
				t.Fatal(err)
			}
			way.act(s, w)
			w.told(way.code)
			w.waits()
			w.send(clientFrame(0x81, "late"), goodbye, clientFrame(0x81, "later"))
			w.ended()
			_ = w.c.Close()
			eventually(t, "it is gone", func() bool { return s.connections() == 0 })
		})
	}
}

// A peer that does not answer is not waited for without end, whatever it sends meanwhile.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t, authtest.Service(t), Options{})
	silent, flood := s.watch(), s.watch()
	for _, w := range []*watcher{silent, flood} {
		w.send(clientFrame(0x82, ""))
	}
	silent.told(1003)
	flood.told(1003)
	go func() {
		big := clientFrame(0x82, strings.Repeat("x", 1<<20))
		for {
			if _, err := flood.c.Write(big); err != nil {
				return
			}
		}
	}()
	silent.ended()
	eventually(t, "both are gone", func() bool { return s.connections() == 0 })
}

// Close frames of clients, as RFC 6455, section 5.5.1, and the registry of codes have them. What is behind one is discarded:
// it neither changes the answer nor resets the connection.
func TestCloseFrames(t *testing.T) {
	code := func(c int) string { return string(binary.BigEndian.AppendUint16(nil, uint16(c))) }
	cases := map[string]struct {
		payload string
		want    int
	}{
		"nothing":            {"", 0},
		"one byte":           {"\x03", 1002},
		"a reason":           {code(1000) + "au revoir \u00e0 tous", 1000},
		"not UTF-8":          {code(1000) + "\xff", 1007},
		"a surrogate":        {code(1000) + "\xed\xa0\x80", 1007},
		"half a letter":      {code(1000) + "\xc3", 1007},
		"as long as can be":  {code(1000) + strings.Repeat("x", 123), 1000},
		"no code, not UTF-8": {code(999) + "\xff", 1002},
	}
	for _, c := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		cases[fmt.Sprint(c)] = struct {
			payload string
			want    int
		}{code(c), c}
	}
	for _, c := range []int{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		cases[fmt.Sprint(c)] = struct {
			payload string
			want    int
		}{code(c), 1002}
	}
	s := newSite(t, authtest.Service(t), Options{})
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			bye := clientFrame(0x88, tc.payload)
			for how, behind := range map[string][][]byte{
				"alone":          nil,
				"and data":       {clientFrame(0x81, `{"m":"user_logout","r":2}`), clientFrame(0x83, ""), goodbye},
				"and much of it": {clientFrame(0x82, strings.Repeat("x", 200_000))},
			} {
				w := s.watch()
				w.t = t
				w.send(clientFrame(0x81, `{"m":"user_logout","r":1}`), bye)
				w.send(behind...)
				if _, msg, err := w.frame(); err != nil || string(msg) != `{"r":1,"err":"not_logged_in"}` {
					t.Fatalf("%s: before the end came %q, %v", how, msg, err)
				}
				w.told(tc.want)
				w.ended()
				_ = w.c.Close()
			}
			w := s.watch()
			w.t = t
			for _, b := range bye { // byte by byte
				_, _ = w.c.Write([]byte{b})
			}
			w.told(tc.want)
			w.ended()
		})
	}
}

// rawChat is an upstream of exact bytes, one connection at a time.
func rawChat(t *testing.T) (u *url.URL, next func() *watcher) {
	conns := make(chan *watcher, 10)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			br := bufio.NewReader(c)
			r, err := http.ReadRequest(br)
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+
				chatroom.AcceptKey(r.Header.Get("Sec-Websocket-Key"))+"\r\n\r\n")
			conns <- &watcher{t, c, br}
		}
	}()
	return &url.URL{Scheme: "ws", Host: ln.Addr().String()}, func() *watcher {
		select {
		case w := <-conns:
			return w
		case <-time.After(patience):
			t.Fatal("nobody dialled")
			return nil
		}
	}
}

// greets has an upstream say something to a client, who has heard it then.
func (w *watcher) greets(client *watcher) {
	w.t.Helper()
	_, _ = io.WriteString(w.c, "\x81\x02hi")
	for {
		_, msg, err := client.frame()
		if err != nil {
			w.t.Fatal(err)
		}
		if string(msg) == "hi" {
			return
		}
	}
}

// TestWriteBehindGoodbye: the worker leaves it to who reads from the upstream to find out why it takes nothing more.
func TestWriteBehindGoodbye(t *testing.T) {
	at, next := rawChat(t)
	ws, _, err := websocket.DefaultDialer.DialContext(t.Context(), at.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	_ = next()
	e, err := New(complete(Options{Upstream: at}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c := &conn{e: e, ctx: ctx, cancel: cancel, wire: &wire{Conn: ws.NetConn().(*net.TCPConn)}}
	l := &leg{c: c, ws: ws, raw: ws.NetConn(), ctx: ctx, cancel: cancel, pumped: make(chan struct{})}
	c.state = &state{c: c, leg: l}
	l.say(4000)
	if code := c.pass(item{msg: []byte("hello"), at: time.Now()}); code != Unavailable {
		t.Errorf("the request is answered %q", code)
	}
	if c.code != 0 {
		t.Errorf("the worker closed with %d", c.code)
	}
	close(l.pumped)
}

// TestPartedWithTheCode: a code counts as the client's own just where it is, whoever else closes meanwhile.
func TestPartedWithTheCode(t *testing.T) {
	_, raw := net.Pipe()
	defer raw.Close()
	e, err := New(complete(Options{}))
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		var all [200]*conn
		for i := range all {
			ctx, cancel := context.WithCancel(context.Background())
			all[i] = &conn{e: e, ctx: ctx, cancel: cancel, wire: &wire{Conn: piped{raw}}}
			all[i].state = &state{c: all[i]}
		}
		var ready atomic.Int32
		var both sync.WaitGroup
		race := func(end func(*conn)) {
			both.Go(func() {
				for i, c := range all { // at the same time
					for ready.Add(1); ready.Load() < int32(2*(i+1)); {
						runtime.Gosched()
					}
					end(c)
				}
			})
		}
		race(func(c *conn) { c.stopReading(&websocket.CloseError{Code: 4001}) })
		race(func(c *conn) { c.shut(relay.CloseTooMany, "") })
		both.Wait()
		for _, c := range all {
			if c.parted != (c.code == 4001) {
				t.Fatalf("closed with %d; the client's own: %t", c.code, c.parted)
			}
		}
	}
}

// piped is a pipe as a [relay.Conn].
type piped struct{ net.Conn }

func (piped) CloseWrite() error { return nil }

// TestFloodAndGoodbye: the client's close frame is found behind a message of too many frames, wherever reading stopped.
func TestFloodAndGoodbye(t *testing.T) {
	slow := defaultTimes
	slow.linger = 3 * patience
	s := newSite(t, authtest.Service(t), Options{times: slow})
	w := s.watch()
	empty := "\x00\x80\x7f\x7f\x7f\x7f" // which looks like another frame from within
	w.send(clientFrame(0x01, ""))
	go w.send([]byte(strings.Repeat(empty, 1<<17)), goodbye)
	w.told(1009)
	w.ended()
}

// TestSeatIsFree: a client's seat does not wait for an upstream that does not hang up.
func TestSeatIsFree(t *testing.T) {
	slow := defaultTimes
	slow.linger = 3 * patience
	at, next := rawChat(t)
	s := newSite(t, authtest.Service(t), Options{Upstream: at, PerAccount: 1, times: slow})
	c := s.watch()
	c.send(clientFrame(0x81, `{"m":"user_register","r":1,"d":{"username":"alice","password":"`+password+`"}}`))
	u := next()
	u.greets(c)
	c.send(goodbye)
	c.told(1001)
	c.ended()
	_ = c.c.Close()
	u.told(1001)
	eventually(t, "the seat is free", func() bool { return s.endpoint.o.Counts.Len() == 0 })
	if n := authtest.State(s.service).Live().Connections(); n != 1 {
		t.Errorf("a stop waits for %d connections, while the upstream has yet to hang up", n)
	}
	again := s.dial()
	again.token("user_login", "alice")
	v := next()
	_, _ = u.c.Close(), v.c.Close()
}
