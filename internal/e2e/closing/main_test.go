package closing

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
)

func TestMain(m *testing.M) { gatetest.Main(m) }

// patience is how long a slow, loaded machine may take for one step.
const patience = 60 * time.Second

const (
	password = "Lantern-Quarry-Ostrich-71"
	badToken = "eyJhbGciOiJFZERTQSJ9.e30.AAAA"
)

// start runs a gateway before an echo, with every way to be closed.
func start(t testing.TB) *gatetest.Gateway {
	t.Helper()
	up := gatetest.NewUpstream(t, echo)
	g := gatetest.Start(t, strings.ReplaceAll(`{
	{{GLOBAL}}
	chatgate {
		accounts sqlite
		login_rate 100000/1s
		signup_rate 100000/1s
		drain 1s
		hash {
			memory_kib 1024
			time 1
		}
	}
}
http://{{HTTP}}, https://{{HTTPS}} {
	header /page Content-Type text/html
	respond /page "<!doctype html><title>closing</title>"
	chatgate_accounts rooms
	chatgate_methods /methods {
		per_address 100000
	}
	chatgate_proxy /refused UPSTREAM {
		bad_token close
	}
	chatgate_proxy /chat UPSTREAM
}
`, "UPSTREAM", up.Addr), gatetest.Options{Env: []string{"GODEBUG=http2xconnect=1"}})
	g.Register("alice", password)
	gatetest.AwaitCertificate(t, g.HTTPS)
	return g
}

// echo is a chat that keeps to RFC 6455: it answers a close frame, and ends first. But where it is asked to leave it does
// not wait for the client's close frame.
func echo(_ *gatetest.Upstream, c net.Conn, br *bufio.Reader, head string) {
	_, _ = io.WriteString(c, gatetest.Accept(head))
	for {
		f, err := gatetest.ReadFrame(br)
		if err != nil {
			return
		}
		if string(f.Payload) == "leave" {
			f = gatetest.Frame{Fin: true, Op: 8, Payload: []byte("\x0f\xa0bye")}
		}
		if _, err := c.Write(f.Encode(false)); err != nil || f.Op == 8 {
			return
		}
	}
}

func logout(t testing.TB, g *gatetest.Gateway, token string) {
	t.Helper()
	if status, _, body := g.Call(http.MethodPost, "/api/v1/logout", token, ""); status != http.StatusOK {
		t.Errorf("logout: %d %s", status, body)
	}
}
