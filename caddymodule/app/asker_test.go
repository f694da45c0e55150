package app_test

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/chatgate/chatgate/authcore"
	_ "github.com/chatgate/chatgate/caddymodule/accounts"
	"github.com/chatgate/chatgate/caddymodule/app"
	_ "github.com/chatgate/chatgate/caddymodule/proxy"
	"github.com/chatgate/chatgate/internal/authtest"
)

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
			app, srv := app.Provision(t, tc.handler)
			app.SetService(service)
			asked, once := 0, math.MaxInt // times that a question asks for the time
			authtest.SetClock(service, func() time.Time {
				if asked++; asked > once {
					return time.Now().Add(1000 * 24 * time.Hour)
				}
				return time.Now()
			})
			for range 2 { // the first time the session is not known yet
				asked = 0
				if _, err := service.Authenticate(t.Context(), authcore.UnverifiedToken(g.Token)); err != nil {
					t.Fatal(err)
				}
			}
			asked, once = 0, asked
			r := httptest.NewRequest(http.MethodGet, "http://chat.example"+tc.target, nil)
			r.Header.Set("Cookie", "ssid="+string(g.Token))
			w := httptest.NewRecorder()
			r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, srv)
			if err := srv.Routes[0].Handlers[0].ServeHTTP(w, r, nil); err != nil {
				t.Fatal(err)
			}
			if w.Code != http.StatusOK || tc.want != "" && w.Body.String() != tc.want || asked != once {
				t.Errorf("%d %s, asked for the time %d times", w.Code, w.Body, asked)
			}
		})
	}
}
