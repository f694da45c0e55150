package caddymodule

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Every HTTP handler of the gate asks whether a request may be a replay, before it acts on one that is its own (RFC 8470).
// One that is added has to be named here.
func TestEveryHandlerRefusesEarlyData(t *testing.T) {
	accounts := func(t *testing.T, r *http.Request, d dialect) *httptest.ResponseRecorder {
		w, _ := pipeline(t, d, r, func(context.Context, *call) (reply, error) { return noContent, nil })
		return w
	}
	serve := func(h caddyhttp.MiddlewareHandler) func(*testing.T, *http.Request) *httptest.ResponseRecorder {
		return func(t *testing.T, r *http.Request) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			if err := h.ServeHTTP(w, r, nil); err != nil {
				t.Error(err)
			}
			return w
		}
	}
	handlers := map[string]map[string]func(*testing.T, *http.Request) *httptest.ResponseRecorder{
		"http.handlers.chatgate_proxy":     {"": serve(new(Proxy))},
		"http.handlers.chatgate_methods":   {"": serve(new(Methods))},
		"http.handlers.chatgate_demo_room": {"": serve(new(DemoRoom))},
		"http.handlers.chatgate_accounts":  {},
	}
	for _, d := range dialects {
		handlers["http.handlers.chatgate_accounts"][d.name()] = func(t *testing.T, r *http.Request) *httptest.ResponseRecorder { return accounts(t, r, d) }
	}
	for _, m := range caddy.GetModules("http.handlers") {
		id := string(m.ID)
		if !strings.HasPrefix(id, "http.handlers.chatgate_") {
			continue
		}
		if handlers[id] == nil {
			t.Errorf("%s is not tested", id)
		}
		for name, h := range handlers[id] {
			t.Run(id+" "+name, func(t *testing.T) {
				r := post("/x")
				r.TLS = &tls.ConnectionState{}
				if w := h(t, r); w.Code != http.StatusTooEarly || w.Body.Len() == 0 {
					t.Errorf("in early data: %d %s", w.Code, w.Body)
				}
				r = post("/x")
				r.TLS = &tls.ConnectionState{HandshakeComplete: true}
				r.Header.Set("Early-Data", "1")
				if w := h(t, r); w.Code != http.StatusTooEarly {
					t.Errorf("with Early-Data: %d %s", w.Code, w.Body)
				}
			})
		}
	}
}
