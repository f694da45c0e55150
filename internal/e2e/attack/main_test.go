package attack

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
)

var shared gatetest.Shared

func TestMain(m *testing.M) { gatetest.MainShared(m, &shared) }

const password = "Tr0ub4dor-and-battery"

// chat is the gateway that most rows attack: every variant of the gate in front of two recording upstreams.
type chat struct {
	*gatetest.Gateway
	t        testing.TB
	up       *recorder
	scripted *recorder
	alice    string // a token
	bob      string
}

const chatCaddyfile = `{
	{{GLOBAL}}
	chatgate {
		accounts sqlite
		sessions embedded
		registration open
		issuer https://chat.test
		login_rate 600/1m
		signup_rate 600/1h
		hash {
			memory_kib 1024
			time 1
		}
	}
}

http://{{HTTP}}, https://{{HTTPS}} {
	chatgate_accounts rooms
	chatgate_proxy UPSTREAM
	chatgate_proxy /refuse/* UPSTREAM {
		anonymous refuse
	}
	chatgate_proxy /allow/* UPSTREAM {
		anonymous allow
	}
	chatgate_proxy /close/* UPSTREAM {
		bad_token close
	}
	chatgate_proxy /cookie/* UPSTREAM {
		cookie ssid
		origins https://app.example.com
	}
	chatgate_proxy /cookie-refuse/* UPSTREAM {
		cookie ssid
		anonymous refuse
	}
	chatgate_proxy /cookie-allow/* UPSTREAM {
		cookie ssid
		anonymous allow
	}
	chatgate_proxy /cookie-only/* UPSTREAM {
		cookie ssid
		token from cookie
	}
	chatgate_proxy /odd-paths/* UPSTREAM {
		allow_in_path encoded_slash semicolon
	}
	chatgate_proxy /unmarked/* UPSTREAM {
		anonymous unmarked
	}
	chatgate_proxy /query/* UPSTREAM {
		query token
	}
	chatgate_proxy /any/* UPSTREAM {
		cookie ssid
		query token
	}
	chatgate_proxy /small/* UPSTREAM {
		max_message 1KiB
	}
	chatgate_proxy /unlimited/* UPSTREAM {
		max_message unlimited
	}
	chatgate_proxy /odd/* UPSTREAM {
		identity {
			user x-gw-user
			access x-GW-aCCess
		}
	}
	chatgate_proxy /copy/* UPSTREAM {
		header_up X-Copy {http.request.header.X-Note}
		header_up Remote-User root
	}
	chatgate_proxy /script/* SCRIPTED
}
`

var chatOnce struct {
	sync.Once
	c *chat
}

// theChat returns the shared gateway, for one test.
func theChat(t *testing.T) *chat {
	t.Helper()
	chatOnce.Do(func() {
		shared.Use(t)
		c := &chat{up: newRecorder(&shared, echo), scripted: newRecorder(&shared, script)}
		file := strings.NewReplacer("UPSTREAM", c.up.Addr, "SCRIPTED", c.scripted.Addr).Replace(chatCaddyfile)
		c.Gateway = gatetest.Start(&shared, file, gatetest.Options{Env: []string{"GODEBUG=http2xconnect=1"}})
		c.Register("alice", password)
		c.Register("bob", password)
		c.alice, c.bob = c.Login("alice", password), c.Login("bob", password)
		chatOnce.c = c
	})
	if chatOnce.c == nil {
		t.Skip("the shared gateway did not start")
	}
	shared.Use(t, chatOnce.c.Gateway)
	c := *chatOnce.c
	c.t = t
	return &c
}

// dial connects to the gateway over bare HTTP/1.1.
func (c *chat) dial() *gatetest.Raw { return gatetest.Dial(c.t, c.HTTP) }

// get sends one request with more header lines on a connection of its own.
func (c *chat) get(path string, more ...string) (*http.Response, string) {
	c.t.Helper()
	return c.request("GET", path, more...)
}

func (c *chat) request(method, target string, more ...string) (*http.Response, string) {
	c.t.Helper()
	r := c.dial()
	defer r.Close()
	r.Send(request(method, target, c.HTTP, more...))
	return r.Response()
}

func request(method, target, host string, more ...string) string {
	s := method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n"
	for _, m := range more {
		s += m + "\r\n"
	}
	return s + "\r\n"
}

func bearer(token string) string { return "Authorization: Bearer " + token }

func protocols(p ...string) string { return "Sec-WebSocket-Protocol: " + strings.Join(p, ", ") }

// recorder is an upstream that keeps every byte, connection by connection.
type recorder struct {
	*gatetest.Upstream
	mu   sync.Mutex
	seen []*visit
}

// visit is one connection to a recorder.
type visit struct {
	head string
	mu   sync.Mutex
	data []byte // all that came after the head
	over bool   // the gateway closed its side
}

func (v *visit) Write(b []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.data = append(v.data, b...)
	return len(b), nil
}

func (v *visit) bytes() []byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]byte(nil), v.data...)
}

func (v *visit) ended() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.over
}

// newRecorder starts an upstream whose handler reads through a recording reader.
func newRecorder(t testing.TB, serve func(c net.Conn, r *bufio.Reader, head string)) *recorder {
	rec := new(recorder)
	rec.Upstream = gatetest.NewUpstream(t, func(_ *gatetest.Upstream, c net.Conn, br *bufio.Reader, head string) {
		v := &visit{head: head}
		rec.mu.Lock()
		rec.seen = append(rec.seen, v)
		rec.mu.Unlock()
		r := bufio.NewReader(io.TeeReader(br, v))
		serve(c, r, head)
		// Until the gateway hangs up, whatever else comes is kept too.
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		_, err := io.Copy(io.Discard, r)
		v.mu.Lock()
		v.over = err == nil
		v.mu.Unlock()
	})
	return rec
}

// count returns how many requests came so far.
func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

// visit returns the only request since the first n, waiting for it.
func (r *recorder) visit(t testing.TB, n int) *visit {
	t.Helper()
	gatetest.Eventually(t, "a request at the upstream", func() bool { return r.count() > n })
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.seen) != n+1 {
		t.Fatalf("%d requests reached the upstream, not one: %q", len(r.seen)-n, r.seen[n].head)
	}
	return r.seen[n]
}

// untouched fails if a request came since the first n.
func (r *recorder) untouched(t testing.TB, n int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range r.seen[n:] {
		t.Errorf("this reached the upstream:\n%s", v.head)
	}
}

// target returns the request target of the recorded head.
func (v *visit) target() string {
	_, rest, _ := strings.Cut(v.head, " ")
	target, _, _ := strings.Cut(rest, " ")
	return target
}

func (v *visit) method() string {
	m, _, _ := strings.Cut(v.head, " ")
	return m
}

// echo is a chat that sends back what it gets. It chooses the subprotocol that the query's choose= names.
func echo(c net.Conn, r *bufio.Reader, head string) {
	if len(gatetest.HeaderValues(head, "Upgrade")) == 0 {
		if len(gatetest.HeaderValues(head, "Transfer-Encoding")) > 0 {
			last := false // chunk seen
			for {
				line, err := r.ReadString('\n')
				if err != nil || last && line == "\r\n" {
					break
				}
				last = last || line == "0\r\n"
			}
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
		return
	}
	var more []string
	if _, choice, ok := strings.Cut(head, "choose="); ok {
		choice, _, _ = strings.Cut(choice, " ")
		more = append(more, "Sec-WebSocket-Protocol: "+choice)
	}
	_, _ = io.WriteString(c, gatetest.Accept(head, more...))
	for {
		f, err := gatetest.ReadFrame(r)
		if err != nil {
			return
		}
		if f.Op == 9 {
			f.Op = 10
		}
		if _, err := c.Write(f.Encode(false)); err != nil {
			return
		}
		if f.Op == 8 { // the server is the first to hang up
			_ = c.(*net.TCPConn).CloseWrite()
			return
		}
	}
}

// assertIdentity checks what the upstream was told about the user: "" is a visitor.
func assertIdentity(t testing.TB, head, user string, write bool) {
	t.Helper()
	one := func(name, want string) {
		t.Helper()
		var wanted []string
		if want != "" {
			wanted = []string{want}
		}
		if got := gatetest.HeaderValues(head, name); fmt.Sprint(got) != fmt.Sprint(wanted) {
			t.Errorf("the upstream got %s %q, want %q; in:\n%s", name, got, wanted, head)
		}
	}
	access := ""
	if write {
		access = "read-write"
	}
	one("Remote-User", user)
	one("Remote-Name", user)
	one("Remote-Access", access)
	one("Remote-Email", "") // none is stored for these accounts
	if n := len(gatetest.HeaderValues(head, "Remote-Id")); n > 1 || (n == 1) != (user != "") {
		t.Errorf("the upstream got %d Remote-Id for user %q; in:\n%s", n, user, head)
	}
}

// assertNo fails if any of the texts is among the bytes that the upstream got.
func (v *visit) assertNo(t testing.TB, texts ...string) {
	t.Helper()
	all := strings.ToLower(v.head + string(v.bytes()))
	for _, s := range texts {
		if s != "" && strings.Contains(all, strings.ToLower(s)) {
			t.Errorf("%.40q reached the upstream:\n%s%s", s, v.head, v.bytes())
		}
	}
}
