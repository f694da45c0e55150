package streams

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// TestReloadKeepsStreams, and a logout ends them: whatever a WebSocket runs over, it is its session's and not its
// configuration's.
func TestReloadKeepsStreams(t *testing.T) {
	t.Parallel()
	up := gatetest.NewUpstream(t, nil)
	g, _ := start(t, "", "chatgate_proxy "+up.Addr)
	tokens, open := make(map[string]string), make(map[string]*socket)
	for name, dial := range transports {
		tokens[name] = g.Login("alice", password)
		open[name] = dial(t, g, "/", tokens[name])
		open[name].echo("hello")
	}
	for range 2 {
		if err := g.Reload(caddyfile("", "header X-Another one\n\t\tchatgate_proxy "+up.Addr)); err != nil {
			t.Fatal(err)
		}
		for name := range transports {
			open[name].echo("after a reload")
		}
	}
	for name := range transports {
		t.Run(name, func(t *testing.T) {
			if status, _, body := g.Call(http.MethodPost, "/api/v1/logout", tokens[name], ""); status != http.StatusOK {
				t.Fatalf("logout: %d %s", status, body)
			}
			if f := open[name].frame(); f.CloseCode() != 4401 {
				t.Errorf("got %+v", f)
			}
			open[name].send(gatetest.Frame{Fin: true, Op: 8, Payload: []byte{3, 232}})
		})
	}
	gatetest.Eventually(t, "the end of the upstream's connections", func() bool { return up.Open() == 0 })
}

// TestGracePeriod: with one, Caddy cuts the QUIC connections of an old configuration when it is over. Their WebSockets are told
// before, and others live on.
func TestGracePeriod(t *testing.T) {
	t.Parallel()
	up := gatetest.NewUpstream(t, nil)
	g, token := start(t, "grace_period 6s", "chatgate_proxy "+up.Addr)
	open := make(map[string]*socket)
	for name, dial := range transports {
		open[name] = dial(t, g, "/", token)
		open[name].echo("hello")
	}
	if err := g.Reload(caddyfile("grace_period 6s", "header X-Another one\n\t\tchatgate_proxy "+up.Addr)); err != nil {
		t.Fatal(err)
	}
	if f := open["HTTP3"].frame(); f.CloseCode() != 1012 {
		t.Errorf("got %+v", f)
	}
	open["HTTP3"].send(gatetest.Frame{Fin: true, Op: 8, Payload: []byte{3, 244}})
	if _, err := gatetest.ReadFrame(open["HTTP3"].r); !errors.Is(err, io.EOF) {
		t.Errorf("got %v behind the close frame", err)
	}
	time.Sleep(7 * time.Second)
	for _, name := range []string{"HTTP1", "HTTP2"} {
		open[name].echo("after the grace period")
	}
	open["again"] = transports["HTTP3"](t, g, "/", token)
	open["again"].echo("hello")
}
