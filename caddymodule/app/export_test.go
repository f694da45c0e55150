package app

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/chatgate/chatgate/authcore"
)

// Provision returns the app and the server of a whole configuration with one handler.
func Provision(t *testing.T, handler string) (*App, *caddyhttp.Server) {
	t.Helper()
	cfg := new(caddy.Config)
	if err := caddy.StrictUnmarshalJSON(fmt.Appendf(nil, `{"admin":{"disabled":true},"apps":{"chatgate":{"accounts":{"store":"sqlite","path":%q}},"http":{"servers":{"web":{"listen":["127.0.0.1:0"],
		"automatic_https":{"disable":true},"routes":[{"handle":[%s]}]}}}}}`, t.TempDir()+"/accounts.db", handler), cfg); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(cfg)
	if err != nil {
		t.Fatal(err)
	}
	chatgate, err := ctx.App("chatgate")
	if err != nil {
		t.Fatal(err)
	}
	web, err := ctx.App("http")
	if err != nil {
		t.Fatal(err)
	}
	app := chatgate.(*App)
	t.Cleanup(func() {
		if app.users == 0 { // the test has done so
			return
		}
		if err := app.Cleanup(); err != nil {
			t.Error(err)
		}
	})
	return app, web.(*caddyhttp.App).Servers["web"]
}

// SetService has an app hand out service.
func (a *App) SetService(service *authcore.Service) { a.service = service }

// Keys returns what tells the state and the mailer of an app that is configured so from others.
func Keys(t *testing.T, fields map[string]any) (state, mail string) {
	t.Helper()
	raw, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(&caddy.Config{
		Admin: &caddy.AdminConfig{Disabled: true}, AppsRaw: caddy.ModuleMap{"chatgate": raw},
	})
	if err != nil {
		t.Fatal(err)
	}
	chatgate, err := ctx.App("chatgate")
	if err != nil {
		t.Fatal(err)
	}
	a := chatgate.(*App)
	if err := a.Cleanup(); err != nil {
		t.Error(err)
	}
	return a.stores.key, a.mail.key
}
