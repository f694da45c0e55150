package methods

import (
	"bufio"
	"cmp"
	"context"
	"flag"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/chatroom"
	"github.com/chatgate/chatgate/internal/authtest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "32") // what is parallel here only waits
	goleak.VerifyTestMain(m)
}

// patience is how long a slow, loaded machine may take for one step.
const patience = 30 * time.Second

const password = "Lantern-Quarry-Ostrich-71"

var here = netip.MustParseAddr("192.0.2.1")

// site serves an endpoint until the test ends, when nothing may be left of it.
type site struct {
	t        testing.TB
	service  *authcore.Service
	endpoint *Endpoint
	addr     string

	// narrow has the kernel hold little of what is on its way between a client and the endpoint.
	narrow bool

	mu   sync.Mutex
	open int // connections that have not called OnClose
}

// little is what the kernel holds of a narrow connection, about; it takes at least twice as much.
const little = 128 << 10

// narrow shrinks the kernel's buffers of a connection.
func narrow(c net.Conn) {
	_ = c.(*net.TCPConn).SetReadBuffer(little)
	_ = c.(*net.TCPConn).SetWriteBuffer(little)
}

func newSite(t testing.TB, accounts Accounts, o Options) *site {
	t.Helper()
	if o.times == (times{}) {
		o.times = defaultTimes
		o.times.linger = 500 * time.Millisecond
	}
	if o.Identity == (chatroom.IdentityHeaders{}) {
		o.Identity = chatroom.DefaultIdentityHeaders
	}
	e, err := New(complete(o))
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, endpoint: e}
	switch a := accounts.(type) {
	case *authcore.Service:
		s.service = a
	case *gated:
		s.service = a.Service
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !e.Admit(here) {
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		conn, brw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = brw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
			chatroom.AcceptKey(r.Header.Get("Sec-Websocket-Key")) + "\r\n\r\n")
		_ = brw.Flush()
		early, _ := brw.Peek(brw.Reader.Buffered())
		s.mu.Lock()
		s.open++
		s.mu.Unlock()
		peer := Peer{Client: authcore.Client{Dialect: "methods", Addr: here}, Header: r.Header.Clone(), Target: r.URL.RequestURI(), Host: r.Host, OnClose: func() {
			s.mu.Lock()
			s.open--
			s.mu.Unlock()
		}}
		if s.narrow {
			narrow(conn)
		}
		_ = e.Open(accounts, conn.(*net.TCPConn), early, peer)
	}))
	s.addr = srv.Listener.Addr().String()
	t.Cleanup(func() {
		srv.Close()
		authtest.State(s.service).Live().EndAll(context.Background(), 0)
		eventually(t, "no connection is left", func() bool { return s.connections() == 0 })
		eventually(t, "no connection is live", func() bool { return authtest.State(s.service).Live().Connections() == 0 })
		if n := e.o.Counts.Len(); n != 0 {
			t.Errorf("%d keys are still counted", n)
		}
	})
	return s
}

func (s *site) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// client is one connection of a client.
type client struct {
	t  testing.TB
	ws *websocket.Conn
}

func (s *site) dial(header ...string) *client {
	s.t.Helper()
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d := websocket.Dialer{NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil && s.narrow {
			narrow(c)
		}
		return c, err
	}}
	ws, resp, err := d.DialContext(ctx, "ws://"+s.addr+"/ws?room=1", h)
	if err != nil {
		s.t.Fatalf("dial: %v (%v)", err, resp)
	}
	s.t.Cleanup(func() { ws.Close() })
	return &client{s.t, ws}
}

func (c *client) send(msg string) {
	c.t.Helper()
	_ = c.ws.SetWriteDeadline(time.Now().Add(patience))
	if err := c.ws.WriteMessage(websocket.TextMessage, []byte(msg)); err != nil {
		c.t.Fatalf("send %.80s: %v", msg, err)
	}
}

func (c *client) next() string {
	c.t.Helper()
	_ = c.ws.SetReadDeadline(time.Now().Add(patience))
	kind, msg, err := c.ws.ReadMessage()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	if kind == websocket.BinaryMessage {
		return "binary " + string(msg)
	}
	return string(msg)
}

// want expects the next messages.
func (c *client) want(msgs ...string) {
	c.t.Helper()
	for _, w := range msgs {
		if got := c.next(); got != w {
			c.t.Fatalf("got %.300s\nwant %.300s", got, w)
		}
	}
}

// ask sends a request and expects the reply.
func (c *client) ask(msg, reply string) {
	c.t.Helper()
	c.send(msg)
	c.want(reply)
}

// wantClose expects the end, with that code.
func (c *client) wantClose(code int) {
	c.t.Helper()
	_ = c.ws.SetReadDeadline(time.Now().Add(patience))
	for {
		_, msg, err := c.ws.ReadMessage()
		if err == nil {
			c.t.Logf("before the end: %.200s", msg)
			continue
		}
		if !websocket.IsCloseError(err, code) {
			c.t.Fatalf("the end is %v, want %d", err, code)
		}
		return
	}
}

// token sends a request that gives one.
func (c *client) token(method, name string) string {
	c.t.Helper()
	c.send(`{"m":"` + method + `","r":"t","d":{"username":"` + name + `","password":"` + password + `"}}`)
	got := c.next()
	var reply struct {
		D struct{ Token string }
	}
	if err := json.Unmarshal([]byte(got), &reply, json.MatchCaseInsensitiveNames(true)); err != nil || reply.D.Token == "" {
		c.t.Fatalf("%s %s: %s", method, name, got)
	}
	return reply.D.Token
}

const loggedOut = `{"e":"user_logged_out","d":{}}`

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// chat is a legacy chat: it answers {m, r, d} with {r, d}, d naming who asked for what, and says who came first.
type chat struct {
	t       testing.TB
	url     *url.URL
	writing sync.Mutex // over all that it says
	mu      sync.Mutex
	refuse  bool
	conns   []*websocket.Conn
	heads   []http.Header
	got     []string
}

func newChat(t testing.TB) *chat {
	t.Helper()
	ch := &chat{t: t}
	var all sync.WaitGroup
	up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		all.Add(1)
		defer all.Done()
		ch.mu.Lock()
		refuse := ch.refuse
		ch.mu.Unlock()
		if refuse {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return
		}
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		user := r.Header.Get("Remote-User")
		head := r.Header.Clone()
		head.Set("Target", r.URL.RequestURI())
		head.Set("Host", r.Host)
		ch.mu.Lock()
		ch.conns = append(ch.conns, ws)
		ch.heads = append(ch.heads, head)
		ch.mu.Unlock()
		ch.write(ws, websocket.TextMessage, []byte(`{ "e": "hello", "d": {"user":"`+user+`"} }`))
		for {
			_, msg, err := ws.ReadMessage()
			if err != nil {
				return
			}
			ch.mu.Lock()
			ch.got = append(ch.got, user+" "+string(msg))
			ch.mu.Unlock()
			req, err := Decode(msg)
			if err != nil {
				t.Errorf("the chat got %q: %v", msg, err)
			}
			switch req.Method {
			case "silent":
			case "binary":
				ch.write(ws, websocket.BinaryMessage, []byte{0xFF, 0, 1})
			case "bye":
				_ = ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4000, "kicked"), time.Now().Add(time.Second))
			default:
				ch.write(ws, websocket.TextMessage, []byte(`{"r":`+string(req.ID)+`, "d":{"user":"`+user+`","m":"`+req.Method+`"}}`))
			}
		}
	}))
	ch.url = &url.URL{Scheme: "ws", Host: srv.Listener.Addr().String()}
	t.Cleanup(func() {
		ch.mu.Lock()
		for _, ws := range ch.conns {
			ws.Close()
		}
		ch.mu.Unlock()
		srv.Close()
		all.Wait()
	})
	return ch
}

func (ch *chat) dialled() int {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return len(ch.heads)
}

func (ch *chat) heard() string {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return strings.Join(ch.got, "\n")
}

func (ch *chat) say(i int, msg string) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.write(ch.conns[i], websocket.TextMessage, []byte(msg))
}

func (ch *chat) write(ws *websocket.Conn, kind int, msg []byte) {
	ch.writing.Lock()
	defer ch.writing.Unlock()
	_ = ws.WriteMessage(kind, msg)
}

func hello(user string) string { return `{ "e": "hello", "d": {"user":"` + user + `"} }` }

// rawDial is a client that sends exact bytes, after a handshake with which the first of them go.
func (s *site) rawDial(with string) (net.Conn, *bufio.Reader) {
	s.t.Helper()
	c, err := net.DialTimeout("tcp", s.addr, patience)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	_, _ = c.Write([]byte("GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
		"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n" + with))
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		s.t.Fatalf("handshake: %v, %v", resp, err)
	}
	if e := resp.Header.Get("Sec-Websocket-Extensions"); e != "" {
		s.t.Fatalf("extension %q was negotiated", e)
	}
	return c, br
}

// complete fills in the limits that a test leaves open.
func complete(o Options) Options {
	o.MaxMessage, o.MaxReply, o.InFlight = cmp.Or(o.MaxMessage, 64<<10), cmp.Or(o.MaxReply, 1<<20), cmp.Or(o.InFlight, 16)
	o.Rate = cmp.Or(o.Rate, authcore.Rate{Burst: 100, Per: time.Minute})
	o.UpstreamRate = cmp.Or(o.UpstreamRate, authcore.Rate{Burst: 6000, Per: time.Minute})
	o.LoginTimeout, o.HandshakeTimeout = cmp.Or(o.LoginTimeout, time.Minute), cmp.Or(o.HandshakeTimeout, 10*time.Second)
	o.PerAddress, o.PerAccount = cmp.Or(o.PerAddress, 256), cmp.Or(o.PerAccount, 256)
	return o
}
