//go:build linux

package accounts

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/sqlstore"
	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/pgtest"
	"github.com/chatgate/chatgate/internal/redistest"
)

func TestMain(m *testing.M) { gatetest.Main(m) }

const (
	password = "Lantern-Quarry-Ostrich-71"
	patience = 40 * time.Second // how long anything may take on a machine that is busy
)

// deployment is one set of accounts, and the gateways that serve it.
type deployment struct {
	t      testing.TB
	nodes  []*gatetest.Gateway
	mail   string            // the directory that they write messages to
	admin  *authcore.Service // over the same accounts, for what no dialect offers
	db     *sqlstore.Store
	file   string        // of SQLite
	redis  *redis.Client // of the sessions; nil: they are in the file
	client *http.Client
	names  atomic.Int64
}

// config is the Caddyfile of every gateway. Limits are out of the way, but for those that are under test.
const config = `{
	{{GLOBAL}}
	chatgate {
		{{STORES}}
		{{MORE}}
		issuer https://chat.example.com
		{{MAIL}}
		login_rate 100000/1s
		signup_rate 100000/1s
		hash {
			memory_kib {{MEMORY}}
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
	chatgate_methods /ws
	chatgate_methods /invited/ws {
		require_invites on
	}
	chatgate_proxy /chat* 127.0.0.1:{{UPSTREAM}}
}
`

// options vary a deployment.
type options struct {
	more     string // options of the chatgate block
	mail     string // instead of a directory; "off": none
	mailMore string // options of its block
	memory   int    // of a password hash, in KiB; 0: next to none
}

// each runs a test over both deployments.
func each(t *testing.T, o options, test func(t *testing.T, d *deployment)) {
	t.Parallel()
	t.Run("two nodes, PostgreSQL and Redis", func(t *testing.T) {
		t.Parallel()
		test(t, two(t, o))
	})
	t.Run("one node, SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, one(t, o))
	})
}

func two(t testing.TB, o options) *deployment {
	t.Helper()
	pg, sessions := pgtest.Start(t), redistest.Start(t)
	dsn := pg.NewDatabase(t)
	d := start(t, 2, o, "accounts postgres {env.PG}\n\t\tsessions redis {env.REDIS}", "PG="+dsn, "REDIS="+sessions.URL())
	d.redis = sessions.Client()
	db, err := sqlstore.OpenPostgres(t.Context(), sqlstore.PostgresOptions{DSN: dsn})
	d.open(db, err)
	return d
}

func one(t testing.TB, o options) *deployment {
	t.Helper()
	file := filepath.Join(t.TempDir(), "chatgate.db")
	d := start(t, 1, o, "accounts sqlite "+file)
	d.file = file
	db, err := sqlstore.OpenSQLite(t.Context(), file)
	d.open(db, err)
	return d
}

func start(t testing.TB, n int, o options, stores string, env ...string) *deployment {
	t.Helper()
	d := &deployment{t: t, mail: filepath.Join(t.TempDir(), "mail"), nodes: make([]*gatetest.Gateway, n)}
	tr := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(tr.CloseIdleConnections)
	d.client = &http.Client{Transport: tr, Timeout: patience}
	upstream := gatetest.NewUpstream(t, gatetest.EchoWebSocket)
	if o.memory == 0 {
		o.memory = 64
	}
	if o.mail == "" {
		o.mail = "file " + d.mail
	}
	mail := "mail " + o.mail
	if o.mail != "off" {
		mail += " {\n\t\t\tfrom chat@example.com\n\t\t\t" + o.mailMore + "\n\t\t}"
	}
	caddyfile := strings.NewReplacer("{{STORES}}", stores, "{{MORE}}", o.more, "{{MAIL}}", mail,
		"{{MEMORY}}", fmt.Sprint(o.memory), "127.0.0.1:{{UPSTREAM}}", upstream.Addr).Replace(config)
	var starts sync.WaitGroup
	for i := range d.nodes {
		starts.Go(func() { d.nodes[i] = gatetest.Start(t, caddyfile, gatetest.Options{Env: env}) })
	}
	starts.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return d
}

// open makes the service of an operator over the accounts.
func (d *deployment) open(db *sqlstore.Store, err error) {
	d.t.Helper()
	must(d.t, err)
	d.t.Cleanup(func() { db.Close() })
	limits, err := authcore.NewMemoryLimits(time.Now)
	must(d.t, err)
	st, err := authcore.OpenState(d.t.Context(), authcore.StateOptions{
		Accounts: db, Sessions: db, Revocations: db, Codes: db, Invites: db, Devices: db, Keys: db, Limits: limits,
		KeyRotate: 30 * 24 * time.Hour, MaxTokens: 400 * 24 * time.Hour,
	})
	must(d.t, err)
	p := authcore.DefaultPolicy()
	p.Hash.Cost = authcore.Argon2{Memory: 64, Time: 1, Threads: 1}
	p.SignupRate = authcore.Rate{Burst: 1_000_000, Per: time.Second}
	d.db = db
	d.admin, err = authcore.NewService(authcore.ServiceOptions{State: st, Policy: p})
	must(d.t, err)
}

// invite makes an invite.
func (d *deployment) invite(t testing.TB, uses int) (string, authcore.Invite) {
	t.Helper()
	code, i, err := d.admin.CreateInvite(t.Context(), authcore.NewInvite{Uses: uses, Lifetime: time.Hour})
	must(t, err)
	return string(code), i
}

// name returns one that nobody has.
func (d *deployment) name() string { return fmt.Sprintf("user%d", d.names.Add(1)) }

// node returns the i-th gateway, as often around as it takes.
func (d *deployment) node(i int) *gatetest.Gateway { return d.nodes[i%len(d.nodes)] }

// answer is what a client saw.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, strings.TrimSpace(a.body)) }

// get reads a member out of a JSON answer, by its path.
func (a answer) get(path ...string) string {
	var v any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		return ""
	}
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	if s, ok := v.(string); ok {
		return s
	}
	if v == nil {
		return ""
	}
	b, _ := json.Marshal(v)
	return string(b)
}

// object is a JSON object in a request.
type object map[string]any

func (o object) String() string {
	b, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// call makes a request at a gateway, from any goroutine.
func (d *deployment) call(g *gatetest.Gateway, method, path, token string, body object) answer {
	var raw io.Reader
	if body != nil {
		raw = strings.NewReader(body.String())
	}
	req, err := http.NewRequestWithContext(context.Background(), method, "http://"+g.HTTP+path, raw)
	if err != nil {
		return answer{body: err.Error()}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return d.do(req)
}

// do sends a request, from any goroutine.
func (d *deployment) do(req *http.Request) answer {
	resp, err := d.client.Do(req)
	if err != nil {
		return answer{body: err.Error()}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{body: err.Error()}
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

func (d *deployment) mustCall(t testing.TB, i int, method, path, token string, body object, status int) answer {
	t.Helper()
	a := d.call(d.node(i), method, path, token, body)
	if a.status != status {
		t.Fatalf("%s %s: %v, want %d", method, path, a, status)
	}
	return a
}

// user makes an account with an address over the dialect auth, confirms that, and returns its name, its address and its
// first token.
func (d *deployment) user(t testing.TB) (name, email, token string) {
	t.Helper()
	name = d.name()
	email = name + "@example.com"
	a := d.mustCall(t, 0, http.MethodPost, "/api/auth/register", "", object{
		"username": name, "email": email, "password": password, "inviteCode": "",
	}, http.StatusCreated)
	token = a.get("token")
	code := d.coded(t, email, confirming, 1)
	d.mustCall(t, 1, http.MethodPost, "/api/auth/email/confirm", token, object{"code": code}, http.StatusNoContent)
	return name, email, token
}

// login returns the token of another session, over the dialect auth.
func (d *deployment) login(t testing.TB, i int, email, secret string) string {
	t.Helper()
	return d.mustCall(t, i, http.MethodPost, "/api/auth/login", "", object{"email": email, "password": secret}, http.StatusOK).get("token")
}

// wantOver fails the test unless every node refuses a token, for a request and for a handshake.
func (d *deployment) wantOver(t testing.TB, token string) {
	t.Helper()
	for i, g := range d.nodes {
		if a := d.call(g, http.MethodGet, "/api/auth/me", token, nil); a.status != http.StatusUnauthorized {
			t.Fatalf("node %d: a token that is over: %v", i, a)
		}
		c := gatetest.Dial(t, g.HTTP)
		c.Send(gatetest.Handshake(g.HTTP, "/chat", "Sec-WebSocket-Protocol: "+token))
		if resp, body := c.Response(); resp.StatusCode != http.StatusUnauthorized {
			t.Fatalf("node %d: a handshake with a token that is over: %s %s", i, resp.Status, body)
		}
		c.Close()
	}
}

// wantAlive fails the test unless every node takes a token.
func (d *deployment) wantAlive(t testing.TB, token string) {
	t.Helper()
	for i, g := range d.nodes {
		if a := d.call(g, http.MethodGet, "/api/auth/me", token, nil); a.status != http.StatusOK {
			t.Fatalf("node %d: a token of a live session: %v", i, a)
		}
	}
}

// sockets opens one on each node.
func (d *deployment) sockets(t testing.TB, token string) (all []*gatetest.Raw) {
	t.Helper()
	for _, g := range d.nodes {
		c := gatetest.Dial(t, g.HTTP)
		c.Open(g.HTTP, "/chat", "Sec-WebSocket-Protocol: "+token)
		c.Echo("hello")
		all = append(all, c)
	}
	return all
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
