package methods

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/transcript"
)

func TestMain(m *testing.M) { gatetest.Main(m) }

const (
	password = "Lantern-Quarry-Ostrich-71"
	invite   = "GATE2-7XQPL-MNBVC-WERTY" // for as many as like
	once     = "ONCE2-7XQPL-MNBVC-WERTY" // for one account
	expired  = "PAST2-7XQPL-MNBVC-WERTY"
)

func soon() time.Time { return time.Now().Add(time.Second) }

// caddyfile returns a configuration with those options.
func caddyfile(app, methods string) string {
	return "{\n\t{{GLOBAL}}\n\tchatgate {\n\t\taccounts sqlite {{DIR}}/accounts.db\n\t\thash {\n\t\t\tmemory_kib 64\n\t\t\ttime 1\n\t\t\tqueue 1000\n\t\t}\n" +
		app + "\t}\n}\n\nhttp://{{HTTP}} {\n\tchatgate_accounts rooms\n\tchatgate_methods {\n" + methods + "\t}\n\treverse_proxy UPSTREAM\n}\n"
}

// generous are limits that no test comes near.
const generous = "\t\tlogin_rate 100000/1s\n\t\tsignup_rate 100000/1s\n"

// open is the handshake of a browser, with what is answered.
var open = strings.Split(`> GET /ws HTTP/1.1
> Upgrade: websocket
> Connection: Upgrade
> Sec-WebSocket-Version: 13
> Sec-WebSocket-Key: `+gatetest.Key+`
> Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits
< HTTP/1.1 101 Switching Protocols
< Upgrade: websocket
< Connection: Upgrade
< Sec-Websocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=
< Cache-Control: no-store
< Server: Caddy`, "\n")

func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(strings.TrimSuffix(name, ".txt"), func(t *testing.T) {
			lines := expand(transcript.Read(t, file))
			ch := newChat(t)
			dir := t.TempDir()
			transcript.Seed(t, dir, time.Hour, func(ctx context.Context, s *authcore.Service) {
				for code, n := range map[authcore.InviteCode]authcore.NewInvite{
					invite: {Uses: 100, Lifetime: 24 * time.Hour}, once: {Uses: 1, Lifetime: 24 * time.Hour}, expired: {Uses: 1, Lifetime: time.Minute},
				} {
					if _, err := s.EnsureInvite(ctx, code, n); err != nil {
						t.Fatal(err)
					}
				}
			})
			cf := caddyfile(transcript.Options(lines, "+", "\t\t"), transcript.Options(lines, "*", "\t\t"))
			g := gatetest.Start(t, strings.ReplaceAll(cf, "UPSTREAM", ch.addr), gatetest.Options{Dir: dir})
			transcript.New(t, g, nil).Run(t, name, lines)
		})
	}
}

// expand writes handshakes out, and has a conversation go on under a new title.
func expand(short []string) (lines []string) {
	at := ""
	for i, l := range short {
		switch conn, opens := strings.CutPrefix(l, "@@ "); {
		case opens:
			at = "@ " + conn
			lines = append(append(lines, at), open...)
			continue
		case strings.HasPrefix(l, "@ "):
			at = l
		}
		lines = append(lines, l)
		if strings.HasPrefix(l, "=") && i+1 < len(short) && (strings.HasPrefix(short[i+1], "→") || strings.HasPrefix(short[i+1], "←")) {
			lines = append(lines, at)
		}
	}
	return lines
}

// socket is a client of a gateway.
type socket struct {
	*gatetest.Raw
	t testing.TB
}

func dial(t testing.TB, g *gatetest.Gateway, more ...string) socket {
	t.Helper()
	c := gatetest.Dial(t, g.HTTP)
	c.Open(g.HTTP, "/ws", more...)
	return socket{c, t}
}

// next returns the next message.
func (s socket) next() string {
	s.t.Helper()
	for {
		_ = s.SetReadDeadline(time.Now().Add(30 * time.Second))
		f, err := gatetest.ReadFrame(s.R)
		if err != nil {
			s.t.Fatalf("reading a frame: %v", err)
		}
		if f.Op == 9 || f.Op == 10 {
			continue
		}
		if f.Op == 8 {
			s.t.Fatalf("closed with %d %q", f.CloseCode(), f.Payload[2:])
		}
		return string(f.Payload)
	}
}

func (s socket) want(msgs ...string) {
	s.t.Helper()
	for _, w := range msgs {
		if got := s.next(); got != w {
			s.t.Fatalf("got %.300s\nwant %.300s", got, w)
		}
	}
}

func (s socket) ask(msg, reply string) {
	s.t.Helper()
	s.SendFrame(gatetest.Text(msg))
	s.want(reply)
}

// enter registers or logs in, and returns the token.
func (s socket) enter(method, name string) string {
	s.t.Helper()
	s.SendFrame(gatetest.Text(`{"m":"` + method + `","r":"in","d":{"username":"` + name + `","password":"` + password + `"}}`))
	got := s.next()
	var reply struct {
		D struct {
			Token string `json:"token"`
		} `json:"d"`
	}
	if err := json.Unmarshal([]byte(got), &reply); err != nil || reply.D.Token == "" {
		s.t.Fatalf("%s %s: %s", method, name, got)
	}
	return reply.D.Token
}

const loggedOut = `{"e":"user_logged_out","d":{}}`
