package upstreams

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/chatgate/chatgate/chatroom"
	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/paralleltest"
)

func TestMain(m *testing.M) {
	paralleltest.AtLeast(4)
	gatetest.Main(m)
}

const (
	password = "Lantern-Quarry-Ostrich-71"
	path     = "/api/v1/rooms/1/messages/ws"
)

// room is an upstream made with net/http. It echoes WebSockets and notes what it was asked.
type room struct {
	*httptest.Server
	name string

	mu      sync.Mutex
	asked   []*http.Request
	open    int
	checks  int           // of its health
	ill     bool          // what its health check says
	release chan struct{} // lets a slow answer go on
}

// newRoom starts a room on a listener, or on a free port of loopback.
func newRoom(t testing.TB, name string, ln net.Listener, overTLS bool) *room {
	t.Helper()
	r := &room{name: name, release: make(chan struct{})}
	r.Server = httptest.NewUnstartedServer(r)
	if ln != nil {
		r.Listener.Close()
		r.Listener = ln
	}
	if overTLS {
		r.StartTLS()
	} else {
		r.Start()
	}
	t.Cleanup(r.CloseClientConnections)
	t.Cleanup(r.Close)
	return r
}

func (r *room) addr() string { return r.Listener.Addr().String() }

func (r *room) conns() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open
}

func (r *room) requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.asked)
}

func (r *room) last() *http.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked[len(r.asked)-1]
}

// ServeHTTP answers by path.
func (r *room) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path == "/health" {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.checks++
		if r.ill {
			w.WriteHeader(http.StatusInternalServerError)
		}
		return
	}
	r.mu.Lock()
	r.asked = append(r.asked, req.Clone(req.Context()))
	r.mu.Unlock()
	w.Header().Set("X-Room", r.name)
	w.Header().Set("X-Internal", "secret")
	switch {
	case req.URL.Path == "/forbidden":
		w.Header().Set("Content-Type", "text/x-reason")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, "members of the committee only")
	case req.URL.Path == "/missing":
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, "no such room")
	case req.URL.Path == "/ordinary":
		fmt.Fprint(w, "just a page")
	case req.Header.Get("Upgrade") == "websocket":
		r.echo(w, req)
	case req.URL.Path == "/slow":
		w.Header().Set("Content-Type", req.URL.Query().Get("type"))
		fmt.Fprint(w, "data: first\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.release
		fmt.Fprint(w, "data: second\n\n")
	default:
		h := sha256.New()
		n, err := io.Copy(h, req.Body)
		fmt.Fprintf(w, "%s %d %s %v", req.Method, n, hex.EncodeToString(h.Sum(nil)), err)
	}
}

func (r *room) echo(w http.ResponseWriter, req *http.Request) {
	for k, v := range map[string]string{"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": chatroom.AcceptKey(req.Header.Get("Sec-WebSocket-Key"))} {
		w.Header().Set(k, v)
	}
	w.WriteHeader(http.StatusSwitchingProtocols)
	c, brw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	_ = brw.Flush()
	r.count(1)
	defer r.count(-1)
	for {
		f, err := gatetest.ReadFrame(brw)
		if err != nil {
			return
		}
		if _, err := c.Write(f.Encode(false)); err != nil || f.Op == 8 {
			return
		}
	}
}

func (r *room) count(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open += n
}

// gate starts a gateway with that chatgate_proxy, and gives it a member.
func gate(t testing.TB, proxy string) (*gatetest.Gateway, string) {
	t.Helper()
	g := gatetest.Start(t, `{
	{{GLOBAL}}
	chatgate {
		accounts sqlite
		hash {
			memory_kib 1024
			time 1
		}
	}
}
http://{{HTTP}}, https://{{HTTPS}} {
	chatgate_accounts rooms
	chatgate_proxy `+proxy+`
}
`)
	g.Register("alice", password)
	return g, g.Login("alice", password)
}

// try does a handshake on a connection of its own.
func try(t testing.TB, g *gatetest.Gateway, path, token string) (*gatetest.Raw, *http.Response, string) {
	t.Helper()
	c := gatetest.Dial(t, g.HTTP)
	var more []string
	if token != "" {
		more = append(more, "Authorization: Bearer "+token)
	}
	c.Send(gatetest.Handshake(g.HTTP, path, more...))
	resp, body := c.Response()
	return c, resp, body
}

// bothWays opens a WebSocket as a member and as a visitor and sees that they work.
func bothWays(t testing.TB, g *gatetest.Gateway, tok string) {
	t.Helper()
	for _, message := range []string{"hello", strings.Repeat("long ", 50_000)} {
		g.WebSocket(path, tok).Echo(message)
	}
	v := g.WebSocket(path, "")
	ping := gatetest.Frame{Fin: true, Op: 9, Payload: []byte("ping")}
	v.SendFrame(ping)
	if f := v.Frame(); string(f.Payload) != "ping" {
		t.Fatalf("a visitor's ping: %+v", f)
	}
}

// send makes a request with a client of its own.
func send(t testing.TB, g *gatetest.Gateway, method, path, token string, body io.Reader) (*http.Response, *bufio.Reader) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+g.HTTP+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := gatetest.Client()
	client.Timeout = 0
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp, bufio.NewReader(resp.Body)
}
