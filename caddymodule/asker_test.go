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

// provision returns the app and the server of a whole configuration with one handler.
func provision(t *testing.T, handler string) (*App, *caddyhttp.Server) {
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

// A request is that of whoever the cookie was judged to be, also where the session ends in between: it is asked for once,
// so that there are no two answers.
func TestCookieIsAskedForOnce(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("Remote-User")) }))
	t.Cleanup(up.Close)
	for name, tc := range map[string]struct{ handler, target, want string }{
		"chatgate_proxy":          {fmt.Sprintf(`{"handler":"chatgate_proxy","cookie":"ssid","reverse_proxy":{"upstreams":[{"dial":%q}]}}`, up.Listener.Addr()), "/x", "alice"},
		"chatgate_accounts users": {`{"handler":"chatgate_accounts","dialect":"users"}`, "/users/info", ""},
	} {
		t.Run(name, func(t *testing.T) {
			service := authtest.Service(t)
			g, err := service.Join(t.Context(), authcore.Registration{ClaimedName: "alice", Password: authcore.NewPassword("Lantern-Quarry-71")})
			if err != nil {
				t.Fatal(err)
			}
			app, srv := provision(t, tc.handler)
			app.service = service
			asked, now := 0, service.Now
			service.State.Now = func() time.Time { // every question asks for the time once
				if asked++; asked > 1 {
					return now().Add(1000 * 24 * time.Hour)
				}
				return now()
			}
			r := httptest.NewRequest(http.MethodGet, "http://chat.example"+tc.target, nil)
			r.Header.Set("Cookie", "ssid="+string(g.Token))
			w := httptest.NewRecorder()
			r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, srv)
			if err := srv.Routes[0].Handlers[0].ServeHTTP(w, r, nil); err != nil {
				t.Fatal(err)
			}
			if w.Code != http.StatusOK || tc.want != "" && w.Body.String() != tc.want || asked != 1 {
				t.Errorf("%d %s, asked %d times", w.Code, w.Body, asked)
			}
		})
	}
}
