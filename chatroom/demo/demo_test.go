package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is the time on every message of these tests.
var noon = time.Date(2026, 11, 21, 8, 0, 0, 999, time.FixedZone("", 0))

// start serves a demo until the test ends. tune may change it before it serves.
func start(t *testing.T, opts Options, tune ...func(*Handler)) (*Handler, *httptest.Server) {
	t.Helper()
	opts.Now = func() time.Time { return noon }
	h, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range tune {
		f(h)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(func() { h.Close(); srv.Close(); http.DefaultClient.CloseIdleConnections() })
	return h, srv
}

// peer is the far end of a member's socket, and notes what it sees.
type peer struct {
	*websocket.Conn
	t *testing.T
}

func writer(name string) http.Header {
	return http.Header{"Remote-User": {name}, "Remote-Access": {"read-write"}}
}

func dial(t *testing.T, srv *httptest.Server, room string, h http.Header) *peer {
	t.Helper()
	conn, res, err := websocket.DefaultDialer.Dial(roomURL(srv, room), h)
	if err != nil {
		t.Fatalf("join %s: %v (%v)", room, err, res)
	}
	_ = res.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	return &peer{conn, t}
}

// refused returns the status that an attempt to join is answered with.
func refused(t *testing.T, srv *httptest.Server, room string) int {
	t.Helper()
	conn, res, err := websocket.DefaultDialer.Dial(roomURL(srv, room), nil)
	if err == nil {
		_ = conn.Close()
		t.Fatalf("join %q: succeeded", room)
	}
	if res == nil {
		t.Fatalf("join %q: %v", room, err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

func roomURL(srv *httptest.Server, room string) string {
	return "ws" + strings.TrimPrefix(srv.URL, "http") + "/api/v1/rooms/" + room + "/messages/ws"
}

func (p *peer) say(text string) {
	p.t.Helper()
	p.raw(websocket.TextMessage, `{"text":`+quote(text)+`}`)
}

func (p *peer) raw(kind int, data string) {
	p.t.Helper()
	if err := p.WriteMessage(kind, []byte(data)); err != nil {
		p.t.Fatal(err)
	}
}

// sees checks the next frames, exactly.
func (p *peer) sees(want ...string) {
	p.t.Helper()
	for _, w := range want {
		_ = p.SetReadDeadline(time.Now().Add(5 * time.Second))
		_, got, err := p.ReadMessage()
		if err != nil {
			p.t.Fatalf("instead of %s: %v", w, err)
		}
		if string(got) != w {
			p.t.Fatalf("\n got %s\nwant %s", got, w)
		}
	}
}

// closedWith reads on until the socket ends, and returns its code and how many frames came before.
func (p *peer) closedWith() (code, frames int) {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(15 * time.Second))
	for ; ; frames++ {
		if _, _, err := p.ReadMessage(); err != nil {
			var ce *websocket.CloseError
			if !errors.As(err, &ce) {
				p.t.Fatalf("no close frame: %v", err)
			}
			return ce.Code, frames
		}
	}
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func said(id int, from, text string) string {
	return fmt.Sprintf(`{"id":%d,"from":%q,"text":%s,"at":"2026-11-21T08:00:00Z"}`, id, from, quote(text))
}

func joins(user string) string { return fmt.Sprintf(`{"event":"join","user":%q}`, user) }
func parts(user string) string { return fmt.Sprintf(`{"event":"part","user":%q}`, user) }

// onlyMember waits until one member is in the room: a visitor's handshake is over a moment before they join.
func onlyMember(t *testing.T, h *Handler, name string) (r *room, m *member) {
	t.Helper()
	eventually(t, "a member joins "+name, func() bool {
		h.hub.mu.Lock()
		defer h.hub.mu.Unlock()
		if r = h.hub.rooms[name]; r == nil {
			return false
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for m = range r.members {
			return len(r.members) == 1
		}
		return false
	})
	return r, m
}

// eventually is for what happens after a peer has gone, which no peer can see.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}
