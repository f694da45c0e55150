//go:build linux

package nodes

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/chatroom"
	"github.com/chatgate/chatgate/internal/faultproxy"
	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/paralleltest"
	"github.com/chatgate/chatgate/internal/pgtest"
	"github.com/chatgate/chatgate/internal/redistest"
)

func TestMain(m *testing.M) {
	paralleltest.AtLeast(4)
	gatetest.Main(m)
}

const (
	password = "Lantern-Quarry-Ostrich-71"
	path     = "/api/v1/rooms/1/messages/ws"

	feedGrace = 3 * time.Second

	patience = 40 * time.Second // how long anything may take on a machine that is busy
	prompt   = 3 * time.Second  // within which every call is answered, whatever is broken: one second, with slack
	recovery = 20 * time.Second // within which all is well again after a fault: ten seconds, with slack
)

// cluster is several gateways over one PostgreSQL and one Redis, in front of one upstream.
type cluster struct {
	t     testing.TB
	pg    *pgtest.Server
	redis *redistest.Server
	nodes []*node

	caddyfile string // of each of them
	names     int
	mail      string // the directory that they write messages to
	dsn       string
	operator  *authcore.Service // over the same accounts, once there is one
}

// node is a gateway of a cluster.
type node struct {
	*gatetest.Gateway
	name      string
	t         testing.TB
	pg, redis *faultproxy.Proxy
	client    *http.Client
}

// config is the Caddyfile of every node.
const config = `{
	{{GLOBAL}}
	chatgate {
		accounts postgres {env.PG}
		sessions redis {env.REDIS}
		feed_grace 3s
		live_grace 10m
		issuer https://chat.example.com
		mail file {env.MAIL} {
			from chat@example.com
		}
		login_rate 100000/1s
		signup_rate 100000/1s
		hash {
			memory_kib 64
			time 1
			queue 1000
		}
	}
}
http://{{HTTP}} {
	chatgate_accounts rooms
	chatgate_accounts auth {
		require_invites off
	}
	chatgate_accounts auth {
		prefix /invited
	}
	chatgate_accounts users
	chatgate_proxy `

// start runs n gateways, all at once, on an empty PostgreSQL with those settings and an empty Redis.
func start(t testing.TB, n int, settings ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, pg: pgtest.Start(t, settings...), redis: redistest.Start(t)}
	c.caddyfile = config + newUpstream(t) + "\n}\n"
	dsn := c.pg.NewDatabase(t)
	c.mail, c.dsn = t.TempDir(), dsn
	c.nodes = make([]*node, n)
	var starts sync.WaitGroup
	for i := range c.nodes {
		node := &node{name: string(rune('A' + i)), t: t, pg: faultproxy.New(t, c.pg.Addr), redis: faultproxy.New(t, c.redis.Addr), client: newClient(t)}
		c.nodes[i] = node
		starts.Go(func() {
			node.Gateway = gatetest.Start(t, c.caddyfile, gatetest.Options{Env: []string{
				"MAIL=" + c.mail,
				"PG=" + strings.Replace(dsn, c.pg.Addr, node.pg.Addr, 1),
				"REDIS=" + strings.Replace(c.redis.URL(), c.redis.Addr, node.redis.Addr, 1),
			}})
		})
	}
	starts.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return c
}

// newClient returns a client that keeps its connections, but for those of calls that failed.
func newClient(t testing.TB) *http.Client {
	tr := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// newUpstream starts a chat that says to everybody who they are: in the answer, or in the first message of a WebSocket,
// whose messages it then echoes.
func newUpstream(t testing.TB) (addr string) {
	t.Helper()
	var mu sync.Mutex
	conns := make(map[net.Conn]struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := r.Header.Get("Remote-User")
		if r.Header.Get("Upgrade") != "websocket" {
			fmt.Fprintf(w, "%s %s", who, r.URL.Query().Get("n"))
			return
		}
		h := w.Header()
		h.Set("Upgrade", "websocket")
		h.Set("Connection", "Upgrade")
		h.Set("Sec-WebSocket-Accept", chatroom.AcceptKey(r.Header.Get("Sec-WebSocket-Key")))
		w.WriteHeader(http.StatusSwitchingProtocols)
		c, brw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		mu.Lock()
		conns[c] = struct{}{}
		mu.Unlock()
		defer func() {
			mu.Lock()
			delete(conns, c)
			mu.Unlock()
			c.Close()
		}()
		_ = brw.Flush()
		if _, err := c.Write(gatetest.Text(who).Encode(false)); err != nil {
			return
		}
		for {
			f, err := gatetest.ReadFrame(brw)
			if err != nil {
				return
			}
			if _, err := c.Write(f.Encode(false)); err != nil || f.Op == 8 {
				return
			}
		}
	}))
	t.Cleanup(func() {
		mu.Lock()
		for c := range conns {
			c.Close()
		}
		mu.Unlock()
		srv.Close()
	})
	return srv.Listener.Addr().String()
}

// answer is what a client saw.
type answer struct {
	status int // 0: none
	body   string
	err    error
	took   time.Duration
}

func (a answer) ok() bool {
	return a.status >= 200 && a.status < 300 || a.status == http.StatusSwitchingProtocols
}

func (a answer) String() string {
	return fmt.Sprintf("%d %s, %v, after %v", a.status, strings.TrimSpace(a.body), a.err, a.took.Round(time.Millisecond))
}

// call makes a request, from any goroutine.
func (n *node) call(ctx context.Context, method, path, token string, body any) (a answer) {
	start := time.Now()
	defer func() { a.took = time.Since(start) }()
	var raw io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return answer{err: err}
		}
		raw = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+n.HTTP+path, raw)
	if err != nil {
		return answer{err: err}
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := n.client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{err: err}
	}
	return answer{status: resp.StatusCode, body: string(b)}
}

type credentials struct {
	Username string `json:"username"`
	Secret   string `json:"secret"`
}

func (n *node) register(name string) answer {
	return n.call(context.Background(), http.MethodPost, "/api/v1/users", "", credentials{name, password})
}

// login returns a token, or none.
func (n *node) login(name string) (token string, a answer) {
	return n.loginCtx(context.Background(), name)
}

func (n *node) loginCtx(ctx context.Context, name string) (token string, a answer) {
	a = n.call(ctx, http.MethodPost, "/api/v1/login", "", credentials{name, password})
	if a.status != http.StatusOK {
		return "", a
	}
	var out struct {
		Data struct {
			Token string
			User  struct{ Username string }
		}
	}
	if err := json.Unmarshal([]byte(a.body), &out); err != nil || out.Data.Token == "" || out.Data.User.Username != name {
		a.err = fmt.Errorf("a login of %s: %w", name, err)
		return "", a
	}
	return out.Data.Token, a
}

// refresh returns another token of the same session, or none.
func (n *node) refresh(token string) (string, answer) {
	a := n.call(context.Background(), http.MethodPost, "/api/auth/refresh", token, nil)
	if a.status != http.StatusOK {
		return "", a
	}
	var out struct{ Token string }
	if err := json.Unmarshal([]byte(a.body), &out); err != nil || out.Token == "" {
		a.err = fmt.Errorf("a refresh: %w", err)
		return "", a
	}
	return out.Token, a
}

func (n *node) logout(token string) answer {
	return n.call(context.Background(), http.MethodPost, "/api/v1/logout", token, nil)
}

func (n *node) logoutAll(token string) answer {
	return n.call(context.Background(), http.MethodPost, "/api/v1/logout_all", token, nil)
}

// use asks the upstream something, which needs a live session.
func (n *node) use(token string) answer {
	return n.call(context.Background(), http.MethodGet, "/who", token, nil)
}

// handshake opens a WebSocket and lets it go.
func (n *node) handshake(token string) answer {
	s, a := n.open(token)
	if s != nil {
		s.conn.Close()
		<-s.done
	}
	return a
}

// user makes an account.
func (c *cluster) user(t testing.TB) string {
	t.Helper()
	c.names++
	name := fmt.Sprintf("user%d", c.names)
	if a := c.nodes[0].register(name); a.status != http.StatusCreated {
		t.Fatalf("registering %s: %v", name, a)
	}
	return name
}

func (n *node) mustLogin(t testing.TB, name string) (token string) {
	t.Helper()
	token, a := n.login(name)
	if token == "" {
		t.Fatalf("%s: logging %s in: %v", n.name, name, a)
	}
	return token
}

// wantAlive fails the test unless every node takes the token.
func (c *cluster) wantAlive(t testing.TB, token string) {
	t.Helper()
	for _, n := range c.nodes {
		if a, h := n.use(token), n.handshake(token); !a.ok() || !h.ok() {
			t.Fatalf("%s: a live session: %v; its handshake: %v", n.name, a, h)
		}
	}
}

// wantOver fails the test unless every node refuses the token.
func (c *cluster) wantOver(t testing.TB, token string) {
	t.Helper()
	for _, n := range c.nodes {
		if a, h := n.use(token), n.handshake(token); a.status != http.StatusUnauthorized || h.status != http.StatusUnauthorized {
			t.Fatalf("%s: a session that is over: %v; its handshake: %v", n.name, a, h)
		}
	}
}

// eventually waits until ok.
func eventually(t testing.TB, within time.Duration, what string, ok func() bool) (took time.Duration) {
	t.Helper()
	start := time.Now()
	for ; !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > within {
			t.Fatalf("waited in vain for %v: %s", within, what)
		}
	}
	return time.Since(start)
}
