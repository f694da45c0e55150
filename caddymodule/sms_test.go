package caddymodule_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/chatgate/chatgate/authcore"
)

const (
	textsSent   = `chatgate_sms_messages_total{result="sent"}`
	textsFailed = `chatgate_sms_messages_total{result="failed"}`

	smsNumber   = "+447400123456"
	smsPassword = "Lantern-Quarry-Ostrich-71"
)

// signUp registers with a phone number.
func signUp(t *testing.T, name, number string) error {
	t.Helper()
	var err error
	service(t, func(ctx context.Context, s *authcore.Service) {
		err = s.RegisterByPhone(ctx, authcore.PhoneRegistration{
			ClaimedName: name, Password: authcore.NewPassword(smsPassword), ClaimedPhone: number, Client: mailClient,
		})
	})
	return err
}

func validatePhone(t *testing.T, number, code string) error {
	t.Helper()
	var err error
	service(t, func(ctx context.Context, s *authcore.Service) {
		err = s.ValidatePhone(ctx, authcore.PhoneValidation{ClaimedPhone: number, Code: code, Client: mailClient})
	})
	return err
}

// smsProvider stands for a provider that keeps the bodies it is sent.
type smsProvider struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	bodies []map[string]string
	header http.Header // of the last
	query  string
}

func newSMSProvider(t *testing.T) *smsProvider {
	p := &smsProvider{status: http.StatusAccepted}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body map[string]string
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.bodies, p.header, p.query = append(p.bodies, body), r.Header, r.URL.RawQuery
		w.WriteHeader(p.status)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *smsProvider) answer(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
}

var smsCode = regexp.MustCompile(`^(\d{6}) is your code for chat\.example\.com\.`)

func TestSMSOverWebhook(t *testing.T) {
	p := newSMSProvider(t)
	t.Setenv("CHATGATE_TEST_SMS_SECRET", "hunter2 &x")
	g := startGateway(t, mailApp(t, t.TempDir(), map[string]any{
		"sms": map[string]any{
			"transport": "webhook", "url": p.URL + "/send?api_key={env.CHATGATE_TEST_SMS_SECRET}",
			"headers": map[string]any{"Authorization": []string{"Bearer {env.CHATGATE_TEST_SMS_SECRET}"}},
			"body":    `{"number":"{{.Number}}","message":"{{.Text}}","token":"{env.CHATGATE_TEST_SMS_SECRET}"}`, "retries": 0,
		},
		"phone_countries": []string{"GB"},
	}))
	before := g.metrics(t)
	if err := signUp(t, "alice", "+44 7400 123456"); err != nil {
		t.Fatal(err)
	}
	body := p.bodies[0]
	code := smsCode.FindStringSubmatch(body["message"])
	if body["number"] != smsNumber || code == nil || body["token"] != "hunter2 &x" || p.query != "api_key=hunter2%20%26x" ||
		p.header.Get("Authorization") != "Bearer hunter2 &x" {
		t.Fatalf("%v, %q, %v", body, p.query, p.header)
	}
	g.post(t, "/login", "", `{"username":"alice","secret":"`+smsPassword+`"}`, http.StatusForbidden)
	if err := validatePhone(t, smsNumber, code[1]); err != nil {
		t.Fatal(err)
	}
	g.post(t, "/login", "", `{"username":"alice","secret":"`+smsPassword+`"}`, http.StatusOK)

	if err := signUp(t, "bob", "+4915123456789"); authcore.KindOf(err) != authcore.KindInvalidPhone {
		t.Errorf("a number of another country: %v", err)
	}
	p.answer(http.StatusServiceUnavailable)
	if err := signUp(t, "bob", "+447400123457"); authcore.KindOf(err) != authcore.KindUnavailable {
		t.Errorf("the provider is down: %v", err)
	}
	g.until(t, textsSent, before[textsSent]+1)
	g.until(t, textsFailed, before[textsFailed]+1)

	res, err := g.api.Get("http://localhost/config/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	config, err := io.ReadAll(res.Body)
	if err != nil || strings.Contains(string(config), "hunter2") || !strings.Contains(string(config), "{env.CHATGATE_TEST_SMS_SECRET}") {
		t.Errorf("%v: %s", err, config)
	}
}

// A file stands for a message, the figures outlive a reload, and without sms nobody can register so.
func TestSMSInFiles(t *testing.T) {
	dir := t.TempDir()
	box := filepath.Join(dir, "sms")
	app := func(sms map[string]any) string {
		return mailApp(t, dir, map[string]any{"sms": sms, "sms_budget": "1/1h"})
	}
	g := startGateway(t, app(map[string]any{"transport": "file", "directory": box}))
	before := g.metrics(t)
	if err := signUp(t, "alice", smsNumber); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(box, "*.txt"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	raw, err := os.ReadFile(files[0])
	text, ok := strings.CutPrefix(string(raw), "To: "+smsNumber+"\n\n")
	if err != nil || !ok || !smsCode.MatchString(text) {
		t.Errorf("%q, %v", raw, err)
	}
	if err := signUp(t, "bob", "+447400123457"); authcore.KindOf(err) != authcore.KindUnavailable {
		t.Errorf("the budget is used up: %v", err)
	}
	if err := g.load(app(map[string]any{"transport": "off"})); err != nil {
		t.Fatal(err)
	}
	g.until(t, textsSent, before[textsSent]+1)
	if err := signUp(t, "carol", "+447400123458"); authcore.KindOf(err) != authcore.KindUnavailable {
		t.Errorf("sms is off: %v", err)
	}
}

// What only shows when placeholders have values is refused, and not shown.
func TestSMSRefusesValues(t *testing.T) {
	g := startGateway(t, mailApp(t, t.TempDir(), nil))
	for name, c := range map[string]struct {
		value  string
		config map[string]any
	}{
		"url":    {"hunter2", map[string]any{"url": "{env.CHATGATE_TEST_SMS_SECRET}"}},
		"far":    {"hunter2.example.com", map[string]any{"url": "http://{env.CHATGATE_TEST_SMS_SECRET}/"}},
		"header": {"hunter2\nx", map[string]any{"url": "https://sms.example.com", "headers": map[string]any{"X-Key": []string{"{env.CHATGATE_TEST_SMS_SECRET}"}}}},
	} {
		t.Setenv("CHATGATE_TEST_SMS_SECRET", c.value)
		c.config["transport"] = "webhook"
		if err := g.load(mailApp(t, t.TempDir(), map[string]any{"sms": c.config})); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
