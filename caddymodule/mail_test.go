package caddymodule_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/internal/smtptest"
)

// service calls a function with the service of the configuration that runs.
func service(t *testing.T, use func(context.Context, *authcore.Service)) {
	t.Helper()
	gate, err := caddy.ActiveContext().App("chatgate")
	if err != nil {
		t.Fatal(err)
	}
	s, done, err := gate.(*app.App).Service(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	use(t.Context(), s)
}

func register(t *testing.T, name, invite string) error {
	t.Helper()
	var err error
	service(t, func(ctx context.Context, s *authcore.Service) {
		_, err = s.Register(ctx, authcore.Registration{
			ClaimedName: name, Password: authcore.NewPassword("Lantern-Quarry-Ostrich-71"), ClaimedEmail: name + "@mail.example.org",
			Invite: authcore.InviteCode(invite), Client: mailClient,
		})
	})
	return err
}

// registerAt registers somebody, and waits for the code that is sent to confirm the address.
func registerAt(t *testing.T, s *smtptest.Server, name string) {
	t.Helper()
	sent := len(s.Messages())
	if err := register(t, name, ""); err != nil {
		t.Fatal(err)
	}
	if m := s.Wait(t, sent+1)[sent]; !strings.HasPrefix(m.Subject(t), "Confirm your address") || m.To[0] != name+"@mail.example.org" {
		t.Errorf("%s was sent %q", m.To, m.Subject(t))
	}
}

// reset asks for a code, and returns what that said.
func reset(t *testing.T, name string) error {
	t.Helper()
	var err error
	service(t, func(ctx context.Context, s *authcore.Service) {
		_, err = s.RequestReset(ctx, authcore.ResetRequest{ClaimedName: name, Client: mailClient})
	})
	return err
}

var mailClient = authcore.Client{Dialect: "test", Addr: netip.MustParseAddr("192.0.2.7"), UserAgent: "tests"}

// mailApp is a configuration of the app, with more fields of it.
func mailApp(t *testing.T, dir string, more map[string]any) string {
	t.Helper()
	fields := map[string]any{
		"accounts": map[string]any{"store": "sqlite", "path": filepath.Join(dir, "mail.db")},
		"issuer":   "https://chat.example.com", "hash": map[string]any{"memory_kib": 8, "time": 1},
	}
	for k, v := range more {
		fields[k] = v
	}
	raw, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// smtpConfig is how to reach a server, with a password that is somewhere else.
func smtpConfig(t *testing.T, s *smtptest.Server, password string) map[string]any {
	t.Helper()
	u, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	c := map[string]any{"transport": "smtp", "url": u.Scheme + "://" + u.Host, "from": "Chat <chat@example.com>"}
	if u.User != nil {
		t.Setenv("CHATGATE_TEST_MAIL_PASSWORD", password)
		c["url"] = u.Scheme + "://" + url.PathEscape(u.User.Username()) + ":{env.CHATGATE_TEST_MAIL_PASSWORD}@" + u.Host
	}
	if s.CAFile != "" {
		c["ca"] = s.CAFile
	} else {
		c["tls"] = "off"
	}
	return c
}

// until waits for a metric.
func (g *gateway) until(t *testing.T, name string, want float64) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		got := g.metrics(t)[name]
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is %v, want %v", name, got, want)
		}
	}
}

const (
	mailSent   = `chatgate_mail_messages_total{result="sent"}`
	mailFailed = `chatgate_mail_messages_total{result="failed"}`
)

func TestMailOverSMTP(t *testing.T) {
	for name, security := range map[string]smtptest.Security{"starttls": smtptest.StartTLS, "tls": smtptest.TLS, "clear": smtptest.Plain} {
		t.Run(name, func(t *testing.T) {
			const password = "hunter2 @:/?#%41{x}"
			s := smtptest.Start(t, smtptest.Options{Security: security, User: "chat", Password: password})
			g := startGateway(t, mailApp(t, t.TempDir(), map[string]any{"mail": smtpConfig(t, s, password)}))
			before := g.metrics(t)
			registerAt(t, s, "alice")
			if err := reset(t, "alice"); err != nil {
				t.Fatal(err)
			}
			m := s.Wait(t, 2)[1]
			if len(m.To) != 1 || m.To[0] != "alice@mail.example.org" || m.From != "chat@example.com" || m.User != "chat" || m.Hello != "example.com" {
				t.Errorf("%+v", m)
			}
			if !regexp.MustCompile(`\b\d{6}\b`).MatchString(m.Text(t)) || !strings.Contains(m.Text(t), "https://chat.example.com\n") {
				t.Errorf("%s", m.Text(t))
			}
			g.until(t, mailSent, before[mailSent]+2)
			g.until(t, "chatgate_mail_queued", 0)

			s.Reply(smtptest.Reply{Stage: smtptest.Rcpt, Code: 550})
			if err := reset(t, "alice"); authcore.KindOf(err) != authcore.KindMailFailed {
				t.Errorf("%v", err)
			}
			g.until(t, mailFailed, before[mailFailed]+1)

			res, err := g.api.Get("http://localhost/config/")
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			config, err := io.ReadAll(res.Body)
			if err != nil || strings.Contains(string(config), "hunter2") || !strings.Contains(string(config), "{env.CHATGATE_TEST_MAIL_PASSWORD}") {
				t.Errorf("%v: %s", err, config)
			}
		})
	}
}

// Whatever a reload changes, what was in the queue is sent, and the figures go on.
func TestMailOutlivesReloads(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{})
	dir := t.TempDir()
	appWith := func(mail map[string]any, more ...string) string {
		fields := map[string]any{"conceal_accounts": true, "mail": mail}
		for _, m := range more {
			fields["registration"] = m
		}
		return mailApp(t, dir, fields)
	}
	smtp := smtpConfig(t, s, "")
	g := startGateway(t, appWith(smtp))
	before := g.metrics(t)
	registerAt(t, s, "alice")
	for i, next := range []string{
		appWith(smtp, "closed"),                     // nothing about mail
		appWith(map[string]any{"transport": "off"}), // and this about it,
		appWith(smtp),                               // which is back,
		appWith(map[string]any{"transport": "file", "directory": filepath.Join(dir, "mail")}), // and goes elsewhere
	} {
		if i == 2 { // there is no mail now
			if err := g.load(next); err != nil {
				t.Fatal(err)
			}
			continue
		}
		name := fmt.Sprint("person", i) // each may be sent a few codes only
		if i > 0 {
			registerAt(t, s, name)
		} else {
			name = "alice"
		}
		sent := len(s.Messages())
		release := s.Hold(smtptest.Data)
		if err := reset(t, name); err != nil {
			t.Fatal(err)
		}
		g.until(t, "chatgate_mail_queued", 1)
		if err := g.load(next); err != nil {
			t.Fatal(err)
		}
		g.until(t, "chatgate_mail_queued", 1)
		release()
		if m := s.Wait(t, sent+1)[sent]; m.To[0] != name+"@mail.example.org" {
			t.Errorf("%+v", m)
		}
		g.until(t, "chatgate_mail_queued", 0)
		g.until(t, mailSent, before[mailSent]+float64(sent+1))
		if i == 0 {
			if err := g.load(appWith(smtp)); err != nil { // with an open door again
				t.Fatal(err)
			}
		}
	}
	if err := reset(t, "alice"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if files, _ := filepath.Glob(filepath.Join(dir, "mail", "*-reset-code-*.eml")); len(files) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no message was written")
		}
	}
	if n := len(s.Messages()); n != 6 { // a confirmation and a code each
		t.Errorf("%d messages were sent", n)
	}
}

// A file stands for a message; where nobody said whom it is from, it is from the issuer.
func TestMailInFiles(t *testing.T) {
	dir := t.TempDir()
	for issuer, from := range map[string]string{
		"https://chat.example.com": "<chatgate@chat.example.com>", "https://localhost:8443": "<chatgate@chatgate.invalid>",
	} {
		t.Run(issuer, func(t *testing.T) {
			box := filepath.Join(dir, "mail", url.PathEscape(issuer))
			startGateway(t, mailApp(t, t.TempDir(), map[string]any{"issuer": issuer, "mail": map[string]any{"transport": "file", "directory": box}}))
			if _, err := os.Stat(box); err == nil {
				t.Error("the directory is there before there is mail")
			}
			if err := register(t, "alice", ""); err != nil {
				t.Fatal(err)
			}
			if err := reset(t, "alice"); err != nil {
				t.Fatal(err)
			}
			files, err := filepath.Glob(filepath.Join(box, "*-reset-code-*.eml"))
			if err != nil || len(files) != 1 {
				t.Fatalf("%v, %v", files, err)
			}
			raw, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			if got := (smtptest.Message{Raw: raw}); got.Header(t).Get("From") != from || got.Header(t).Get("To") != "<alice@mail.example.org>" {
				t.Errorf("%s", raw)
			}
		})
	}
}

func TestNoMail(t *testing.T) {
	startGateway(t, mailApp(t, t.TempDir(), nil))
	if err := register(t, "alice", ""); err != nil {
		t.Fatal(err)
	}
	if err := reset(t, "alice"); authcore.KindOf(err) != authcore.KindMailFailed {
		t.Errorf("%v", err)
	}
	if err := reset(t, "nobody"); authcore.KindOf(err) != authcore.KindUnknownAccount {
		t.Errorf("%v", err)
	}
}

func TestConcealAccounts(t *testing.T) {
	startGateway(t, mailApp(t, t.TempDir(), map[string]any{"conceal_accounts": true}))
	if err := reset(t, "nobody"); err != nil {
		t.Errorf("%v", err)
	}
}

// Templates are read when the configuration is loaded, again when their files have changed, and tried out.
func TestMailTemplates(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{})
	dir := t.TempDir()
	file := filepath.Join(dir, "reset-code.subject")
	mail := smtpConfig(t, s, "")
	mail["templates"] = dir
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("One for {{.Service}}")
	app := mailApp(t, t.TempDir(), map[string]any{"mail": mail})
	g := startGateway(t, app)
	registerAt(t, s, "alice")
	for i, subject := range []string{"One for chat.example.com", "Two for chat.example.com"} {
		if err := reset(t, "alice"); err != nil {
			t.Fatal(err)
		}
		if got := s.Wait(t, i+2)[i+1].Subject(t); got != subject {
			t.Errorf("the subject is %q, want %q", got, subject)
		}
		write("Two for {{.Service}}")
		if err := g.load(app); err != nil {
			t.Fatal(err)
		}
	}
	write("{{.Username}}")
	if err := g.load(app); err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "mail smtp") {
		t.Errorf("%v", err)
	}
	if err := reset(t, "alice"); err != nil {
		t.Errorf("after a reload that failed: %v", err)
	}
	if got := s.Wait(t, 4)[3].Subject(t); got != "Two for chat.example.com" {
		t.Errorf("after a reload that failed, the subject is %q", got)
	}
}

// The first invite is made once, whatever is loaded again, and is good for what it says.
func TestFirstInvite(t *testing.T) {
	const code, another = "f00d-cafe-0123-4567-89ab", "5eed-cafe-0123-4567-89ab"
	t.Setenv("CHATGATE_TEST_FIRST_INVITE", code)
	dir := t.TempDir()
	app := func(more string) string {
		return mailApp(t, dir, map[string]any{"registration": "invite", "audience": "x" + more, "first_invite": map[string]any{
			"code": "{env.CHATGATE_TEST_FIRST_INVITE}", "uses": 2,
		}})
	}
	g := startGateway(t, app("1"))
	if err := register(t, "alice", ""); authcore.KindOf(err) != authcore.KindInviteRequired {
		t.Errorf("%v", err)
	}
	if err := register(t, "alice", another); authcore.KindOf(err) != authcore.KindBadInvite {
		t.Errorf("%v", err)
	}
	if err := register(t, "alice", code); err != nil {
		t.Error(err)
	}
	if err := g.load(app("2")); err != nil {
		t.Fatal(err)
	}
	if err := register(t, "bob", code); err != nil {
		t.Error(err)
	}
	if err := g.load(app("3")); err != nil {
		t.Fatal(err)
	}
	if err := register(t, "carol", code); authcore.KindOf(err) != authcore.KindBadInvite {
		t.Errorf("the third of two: %v", err)
	}
	t.Setenv("CHATGATE_TEST_FIRST_INVITE", another)
	if err := g.load(app("4")); err != nil {
		t.Fatal(err)
	}
	if err := register(t, "carol", another); err != nil {
		t.Error(err)
	}
	t.Setenv("CHATGATE_TEST_FIRST_INVITE", "hunter2")
	if err := g.load(app("5")); err == nil || !strings.Contains(err.Error(), "first_invite {env.CHATGATE_TEST_FIRST_INVITE}: an invite code has 16 to 128") ||
		strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
}
