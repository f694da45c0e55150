package streams

import (
	"bufio"
	"context"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/streamtest"
)

// TestQuietHTTP3: a WebSocket on which neither side says anything outlives QUIC's idle time, and neither side is told anything
// for that.
func TestQuietHTTP3(t *testing.T) {
	t.Parallel()
	up := gatetest.NewUpstream(t, nil)
	g, token := start(t, "", "chatgate_proxy "+up.Addr)
	conn := streamtest.DialHTTP3(t, g.HTTPS)
	str, err := streamtest.OpenHTTP3(conn, g.HTTPS, "/", token)
	if err != nil {
		t.Fatal(err)
	}
	c := &socket{t, str, bufio.NewReader(str)}
	c.echo("hello")
	const idle = 30 * time.Second // of quic-go, on both sides
	select {
	case <-conn.Context().Done():
		t.Fatalf("the connection ended: %v", context.Cause(conn.Context()))
	case <-time.After(idle + 5*time.Second):
	}
	_ = str.SetDeadline(time.Now().Add(patience))
	c.echo("still there")
	if data := string(up.Data()); data != "hello"+"still there" {
		t.Errorf("the upstream was told %q", data)
	}
}
