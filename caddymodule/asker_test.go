package caddymodule

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/internal/authtest"
)

// provisionProxy returns a chatgate_proxy of a whole configuration, over a service of the test's.
func provisionProxy(t *testing.T, service *authcore.Service, fields string) (*Proxy, *caddyhttp.Server) {
	t.Helper()
	cfg := new(caddy.Config)
	if err := caddy.StrictUnmarshalJSON(fmt.Appendf(nil, `{"admin":{"disabled":true},"apps":{"chatgate":{"accounts":{"store":"sqlite","path":%q}},"http":{"servers":{"web":{"listen":["127.0.0.1:0"],
		"automatic_https":{"disable":true},"routes":[{"handle":[{"handler":"chatgate_proxy",%s}]}]}}}}}`, t.TempDir()+"/unused.db", fields), cfg); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(cfg)
	if err != nil {
		t.Fatal(err)
	}
	app, err := ctx.App("chatgate")
	if err != nil {
		t.Fatal(err)
	}
	web, err := ctx.App("http")
	if err != nil {
		t.Fatal(err)
	}
	a := app.(*App)
	a.service = service
	srv := web.(*caddyhttp.App).Servers["web"]
	p := srv.Routes[0].Handlers[0].(*Proxy)
	t.Cleanup(func() {
		if err := p.Cleanup(); err != nil {
			t.Error(err)
		}
		if err := a.Cleanup(); err != nil {
			t.Error(err)
		}
	})
	return p, srv
}

// A session that ends while a request is judged makes it a visitor's, or lets it through as one that was there before.
// A cookie is asked for once, so that there are no two answers.
func TestCookieIsAskedForOnce(t *testing.T) {
	service := authtest.Service(t)
	g, err := service.Join(t.Context(), authcore.Registration{ClaimedName: "alice", Password: authcore.NewPassword("Lantern-Quarry-71")})
	if err != nil {
		t.Fatal(err)
	}
	var who []string
	up := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { who = append(who, r.Header.Get("Remote-User")) }))
	t.Cleanup(up.Close)
	p, srv := provisionProxy(t, service, fmt.Sprintf(`"cookie":"session","reverse_proxy":{"upstreams":[{"dial":%q}]}`, up.Listener.Addr()))

	asked, now := 0, service.Now
	service.State.Now = func() time.Time { // every question asks for the time once
		if asked++; asked > 1 {
			return now().Add(1000 * 24 * time.Hour)
		}
		return now()
	}
	r := httptest.NewRequest(http.MethodGet, "http://chat.example/x", nil)
	r.Header.Set("Cookie", "session="+string(g.Token))
	w := httptest.NewRecorder()
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, srv)
	if err := p.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })); err != nil {
		t.Fatal(err)
	}
	if w.Code != http.StatusOK || len(who) != 1 || who[0] != "alice" || asked != 1 {
		t.Errorf("%d %s, upstream got %q, asked %d times", w.Code, w.Body, who, asked)
	}
}
