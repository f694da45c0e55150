package tcpproxy

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/mholt/caddy-l4/layer4"
	"github.com/mholt/caddy-l4/modules/l4proxy"
	"go.uber.org/zap"

	"github.com/chatgate/chatgate/authcore"
)

// What was the caller's doing is no failure of an upstream; that it cannot be reached is.
func TestWhatCountsAsFailure(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	name, err := parseTemplate("NAME {user.display_name}")
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tc := range []struct {
		name  string
		ctx   context.Context
		dial  string
		told  string // the display name
		fails int
	}{
		{"a name that cannot be told", t.Context(), ln.Addr().String(), "a\nb", 0},
		{"a call whose time is over", over, ln.Addr().String(), "alice", 0},
		{"nobody listens", t.Context(), gone.Addr().String(), "alice", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &upstreams{first: []template{name}, timeout: 10 * time.Second, proxy: &l4proxy.Handler{
				Upstreams:     l4proxy.UpstreamPool{{Dial: []string{tc.dial}}},
				LoadBalancing: &l4proxy.LoadBalancing{SelectionPolicy: new(l4proxy.FirstSelection)},
				HealthChecks:  &l4proxy.HealthChecks{Passive: &l4proxy.PassiveHealthChecks{FailDuration: caddy.Duration(time.Minute)}},
			}}
			client, peer := net.Pipe()
			defer client.Close()
			defer peer.Close()
			cx := layer4.WrapConnection(peer, nil, zap.NewNop())
			who := caller{id: authcore.ProvenSession{Identity: authcore.Identity{Username: "alice", DisplayName: tc.told}}, access: readWrite}
			if conn, _, err := s.connect(tc.ctx, cx, who); err == nil {
				conn.Close()
				t.Error("connected")
			}
			if got := failures.Of(tc.dial); got != tc.fails {
				t.Errorf("%d failures were counted, want %d", got, tc.fails)
			}
			if n := connections.Of(tc.dial); n != 0 {
				t.Errorf("%d connections are left", n)
			}
		})
	}
}
