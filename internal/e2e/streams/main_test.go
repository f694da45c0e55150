package streams

import (
	"bufio"
	"io"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/paralleltest"
	"github.com/chatgate/chatgate/internal/streamtest"
)

func TestMain(m *testing.M) {
	paralleltest.AtLeast(30)
	gatetest.Main(m)
}

const password = "Lantern-Quarry-Ostrich-71"

// patience is how long a slow, loaded machine may take for one step.
const patience = 60 * time.Second

// caddyfile has more global options and what a site has beside the accounts.
func caddyfile(global, site string) string {
	return `{
	{{GLOBAL}}
	` + global + `
	chatgate {
		accounts sqlite
		drain 1s
		hash {
			memory_kib 1024
			time 1
		}
	}
}
http://{{HTTP}}, https://{{HTTPS}} {
	log
	route {
		chatgate_accounts rooms
		` + site + `
	}
}
`
}

// start runs a gateway and returns a token of alice's.
func start(t testing.TB, global, site string) (*gatetest.Gateway, string) {
	t.Helper()
	g := gatetest.Start(t, caddyfile(global, site), gatetest.Options{Env: []string{"GODEBUG=http2xconnect=1"}})
	g.Register("alice", password)
	gatetest.AwaitCertificate(t, g.HTTPS)
	return g, g.Login("alice", password)
}

// socket is the client's end of a WebSocket.
type socket struct {
	t testing.TB
	w io.Writer
	r *bufio.Reader
}

// transports open a WebSocket over every version of HTTP.
var transports = map[string]func(t testing.TB, g *gatetest.Gateway, path, token string) *socket{
	"HTTP1": func(t testing.TB, g *gatetest.Gateway, path, token string) *socket {
		t.Helper()
		c := gatetest.DialTLS(t, g.HTTPS)
		c.Open(g.HTTPS, path, "Authorization: Bearer "+token)
		_ = c.SetReadDeadline(time.Now().Add(patience))
		return &socket{t, c, c.R}
	},
	"HTTP2": func(t testing.TB, g *gatetest.Gateway, path, token string) *socket {
		t.Helper()
		c, r, err := streamtest.DialHTTP2(t, g.HTTPS).Open(path, token)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(patience))
		return &socket{t, c, r}
	},
	"HTTP3": func(t testing.TB, g *gatetest.Gateway, path, token string) *socket {
		t.Helper()
		str, err := streamtest.OpenHTTP3(streamtest.DialHTTP3(t, g.HTTPS), g.HTTPS, path, token)
		if err != nil {
			t.Fatal(err)
		}
		_ = str.SetDeadline(time.Now().Add(patience))
		return &socket{t, str, bufio.NewReader(str)}
	},
}

func (s *socket) send(f gatetest.Frame) {
	s.t.Helper()
	if _, err := s.w.Write(f.Encode(true)); err != nil {
		s.t.Fatalf("sending: %v", err)
	}
}

func (s *socket) frame() gatetest.Frame {
	s.t.Helper()
	f, err := gatetest.ReadFrame(s.r)
	if err != nil {
		s.t.Fatalf("waiting for a frame: %v", err)
	}
	return f
}

func (s *socket) echo(text string) {
	s.t.Helper()
	s.send(gatetest.Text(text))
	if f := s.frame(); string(f.Payload) != text {
		s.t.Fatalf("the echo is %+v", f)
	}
}
