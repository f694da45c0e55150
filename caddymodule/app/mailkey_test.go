package app_test

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/caddymodule/senders"
	_ "github.com/chatgate/chatgate/caddymodule/stores"
)

// Two configurations share a mailer if they say the same, whatever else they say.
func TestMailKey(t *testing.T) {
	type config struct {
		issuer, registration string
		mail                 senders.SMTP
	}
	key := func(change func(*config)) string {
		t.Helper()
		c := &config{issuer: "https://chat.example.com", registration: "open", mail: senders.SMTP{
			URL:      "smtp://chat:{env.CHATGATE_TEST_SECRET}@mail.example.com",
			Messages: senders.Messages{From: "chat@example.com"},
		}}
		change(c)
		_, key := app.Keys(t, map[string]any{
			"issuer": c.issuer, "registration": c.registration, "mail": caddyconfig.JSONModuleObject(c.mail, "transport", "smtp", nil),
		})
		return key
	}
	t.Setenv("CHATGATE_TEST_SECRET", "hidden42")
	one := key(func(*config) {})
	if same := key(func(c *config) { c.registration, c.mail.TLS = "closed", "starttls" }); same != one {
		t.Errorf("%s is not %s", same, one)
	}
	for name, change := range map[string]func(*config){
		"issuer": func(c *config) { c.issuer = "https://chat.example.org" },
		"from":   func(c *config) { c.mail.From = "Chat <chat@example.com>" },
		"host":   func(c *config) { c.mail.URL = "smtp://chat:{env.CHATGATE_TEST_SECRET}@mail.example.org" },
		"tls":    func(c *config) { c.mail.TLS = "implicit" },
		"queue":  func(c *config) { c.mail.Queue = 1 },
		"hello":  func(c *config) { c.mail.Hello = "x.example.com" },
		"secret": func(*config) { t.Setenv("CHATGATE_TEST_SECRET", "hidden43") },
	} {
		if other := key(change); other == one || strings.Contains(other, "hidden") {
			t.Errorf("another %s has the key %s", name, other)
		}
		t.Setenv("CHATGATE_TEST_SECRET", "hidden42")
	}
}
