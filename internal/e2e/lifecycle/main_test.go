package lifecycle

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
)

func TestMain(m *testing.M) { gatetest.Main(m) }

const (
	password = "Lantern-Quarry-Ostrich-71"
	path     = "/api/v1/rooms/1/messages/ws"
)

// withStreams makes a gateway offer WebSockets over HTTP/2 (RFC 8441), which Go has behind a switch.
var withStreams = gatetest.Options{Env: []string{"GODEBUG=http2xconnect=1"}}

// plain is the configuration that tests vary: the lines of the chatgate option, of chatgate_proxy, and around.
type plain struct {
	accounts string // of "sqlite"
	global   string
	app      string
	upstream string
	proxy    string
	sites    string
}

// cheap makes hashing as light as it is allowed to be, for tests that are not about it.
const cheap = `hash {
		memory_kib 1024
		time 1
	}`

func (p plain) String() string {
	app := p.app
	if !strings.Contains(app, "login_rate") {
		app += "\n\t\tlogin_rate 100000/1s"
	}
	if !strings.Contains(app, "hash {") {
		app += "\n\t\t" + cheap
	}
	return `{
	{{GLOBAL}}
	` + p.global + `
	chatgate {
		accounts sqlite ` + p.accounts + `
		signup_rate 100000/1s
		` + app + `
	}
}
http://{{HTTP}}, https://{{HTTPS}} {
	chatgate_accounts rooms
	chatgate_proxy ` + p.upstream + ` {
		` + p.proxy + `
	}
}
` + p.sites
}

// echo answers handshakes and echoes frames, as gatetest.EchoWebSocket does, but keeps nothing.
func echo(_ *gatetest.Upstream, c net.Conn, br *bufio.Reader, head string) {
	io.WriteString(c, gatetest.Accept(head))
	for {
		f, err := gatetest.ReadFrame(br)
		if err != nil {
			return
		}
		if f.Op == 9 {
			f.Op = 10
		}
		if _, err := c.Write(f.Encode(false)); err != nil || f.Op == 8 {
			return
		}
	}
}

type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

// envelope is what every answer of the rooms dialect is in.
type envelope struct {
	Error *struct{ Type string }
	Data  *struct{ Token string }
}

// post is Gateway.Call for any goroutine, and for calls that may fail.
func post(g *gatetest.Gateway, path, token, name, secret string) answer {
	body := ""
	if name != "" {
		b, _ := json.Marshal(map[string]string{"username": name, "secret": secret})
		body = string(b)
	}
	req, err := http.NewRequest(http.MethodPost, "http://"+g.HTTP+path, strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := gatetest.Client()
	client.Timeout = time.Minute
	resp, err := client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(b), err}
}

// envelope decodes the answer and fails the test if it is no envelope with exactly one member set.
func (a answer) envelope(t testing.TB) envelope {
	t.Helper()
	var members map[string]json.RawMessage
	var e envelope
	if json.Unmarshal([]byte(a.body), &members) != nil || len(members) != 2 || json.Unmarshal([]byte(a.body), &e) != nil || (e.Error == nil) == (e.Data == nil) {
		t.Fatalf("not the envelope of rooms: %d %q, %v", a.status, a.body, a.err)
	}
	return e
}

func logout(t testing.TB, g *gatetest.Gateway, path, token string) {
	t.Helper()
	if status, _, body := g.Call(http.MethodPost, path, token, ""); status != http.StatusOK {
		t.Fatalf("%s: %d %s", path, status, body)
	}
}
