package caddymodule_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// gateway is Caddy in this process, with its admin API on a socket.
type gateway struct {
	addr   string // of the site
	socket string
	site   *http.Client
	api    *http.Client
}

// startGateway loads a configuration of the app, and stops everything when the test is over.
func startGateway(t *testing.T, app string) *gateway {
	t.Helper()
	home(t)
	dir, err := os.MkdirTemp("", "gw") // a socket's name has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	g := &gateway{addr: nowhere(t), socket: filepath.Join(dir, "api")}
	g.site, g.api = clientOf("tcp", g.addr), clientOf("unix", g.socket)
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := g.load(app); err != nil {
		t.Fatal(err)
	}
	return g
}

// load returns once no listener is left of a configuration that does not serve. A server that is stopped before it has begun
// to accept closes its own late, and until then the kernel gives it connections, only to reset them.
func (g *gateway) load(app string) error {
	err := caddy.Load(fmt.Appendf(nil, `{
		"admin": {"listen": "unix/%s", "config": {"persist": false}},
		"logging": {"logs": {"default": {"writer": {"output": "discard"}}}},
		"apps": {
			"chatgate": %s,
			"http": {"servers": {"site": {"listen": [%q], "routes": [
				{"handle": [{"handler": "chatgate_accounts", "dialect": "rooms"}]}
			]}}}
		}
	}`, g.socket, app, g.addr), true)
	for deadline := time.Now().Add(30 * time.Second); g.listeners() > 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return errors.Join(err, errors.New("a listener stays behind"))
		}
	}
	return err
}

// listeners returns how many sockets listen at the site's address, or 0 where there is no telling.
func (g *gateway) listeners() (n int) {
	table, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		return 0
	}
	addr := netip.MustParseAddrPort(g.addr)
	ip := addr.Addr().As4()
	slices.Reverse(ip[:]) // as it is on a little-endian machine
	at := fmt.Sprintf("%X:%04X", ip[:], addr.Port())
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return 0
	}
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 3 && f[1] == at && f[3] == "0A" { // TCP_LISTEN
			n++
		}
	}
	return n
}

func clientOf(network, addr string) *http.Client {
	// A connection that is kept open goes at a reload, perhaps in the middle of a request.
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// nowhere returns an address where nobody listens.
func nowhere(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// post makes a call and returns the token in the answer, if there is one.
func (g *gateway) post(t *testing.T, path, token, body string, want int) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/api/v1"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := g.site.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != want {
		t.Fatalf("%s: %d %s, %v", path, res.StatusCode, raw, err)
	}
	var answer struct{ Data struct{ Token string } }
	_ = json.Unmarshal(raw, &answer)
	return answer.Data.Token
}

// metrics returns what chatgate tells on the admin API's /metrics.
func (g *gateway) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	res, err := g.api.Get("http://localhost/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	out := make(map[string]float64)
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if !strings.HasPrefix(name, "chatgate_") || strings.Contains(name, "_bucket{") {
			continue
		}
		if out[name], err = strconv.ParseFloat(value, 64); err != nil {
			t.Errorf("%s: %v", lines.Text(), err)
		}
	}
	return out
}

const credentials = `{"username":"alice","secret":"Lantern-Quarry-Ostrich-71"}`

// The metrics are there after a reload as before, and go on from where they were, also when the stores are others.
func TestMetrics(t *testing.T) {
	dir := t.TempDir()
	app := func(file, more string) string {
		return fmt.Sprintf(`{"accounts": {"store": "sqlite", "path": %q}, "hash": {"memory_kib": 8, "time": 1}%s}`, filepath.Join(dir, file), more)
	}
	g := startGateway(t, app("one.db", ""))
	before := g.metrics(t)
	for _, name := range []string{
		"chatgate_revocation_seconds_sum", "chatgate_revocation_seconds_count", "chatgate_revocation_unanswered_total", "chatgate_feed_lag_seconds",
		"chatgate_feed_broken", "chatgate_session_cache_hits_total", "chatgate_session_cache_misses_total", "chatgate_live_connections",
		"chatgate_known_sessions", "chatgate_events_dropped_total",
	} {
		if _, ok := before[name]; !ok {
			t.Errorf("there is no %s: %v", name, before)
		}
	}
	grown := func(when, name string, want float64) {
		t.Helper()
		if got := g.metrics(t)[name] - before[name]; got != want {
			t.Errorf("%s, %s has grown by %v, want %v", when, name, got, want)
		}
	}

	g.post(t, "/users", "", credentials, http.StatusCreated)
	g.post(t, "/login", "", credentials, http.StatusOK)
	token := g.post(t, "/login", "", credentials, http.StatusOK)
	g.post(t, "/logout", token, "", http.StatusOK)
	grown("after a logout", "chatgate_revocation_seconds_count", 1)
	if sum := g.metrics(t)["chatgate_revocation_seconds_sum"] - before["chatgate_revocation_seconds_sum"]; sum <= 0 {
		t.Errorf("a revocation took %v s", sum)
	}
	after := g.metrics(t)
	looks := func(m map[string]float64) float64 {
		return m["chatgate_session_cache_hits_total"] + m["chatgate_session_cache_misses_total"]
	}
	if looks(after) <= looks(before) {
		t.Errorf("nobody looked at a session: %v", after)
	}

	if err := g.load(app("one.db", `, "registration": "closed"`)); err != nil {
		t.Fatal(err)
	}
	grown("after a reload", "chatgate_revocation_seconds_count", 1)

	// The first state is closed here; what it counted stays.
	if err := g.load(app("two.db", "")); err != nil {
		t.Fatal(err)
	}
	grown("with other stores", "chatgate_revocation_seconds_count", 1)
	if m := g.metrics(t); looks(m) != looks(after) {
		t.Errorf("with other stores, %v looks at sessions have become %v", looks(after), looks(m))
	}
	g.post(t, "/users", "", credentials, http.StatusCreated)
	token = g.post(t, "/login", "", credentials, http.StatusOK)
	g.post(t, "/logout_all", token, "", http.StatusOK)
	grown("after another logout", "chatgate_revocation_seconds_count", 2)
}
