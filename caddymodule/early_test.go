package caddymodule_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/chatgate/chatgate/caddymodule/demoroom"
	"github.com/chatgate/chatgate/caddymodule/methods"
	"github.com/chatgate/chatgate/caddymodule/proxy"
)

// Every HTTP handler of the gate asks whether a request may be a replay, before it acts on one that is its own (RFC 8470).
// One that is added has to be named here.
func TestEveryHandlerRefusesEarlyData(t *testing.T) {
	handlers := map[string]caddyhttp.MiddlewareHandler{
		"http.handlers.chatgate_proxy":     new(proxy.Proxy),
		"http.handlers.chatgate_methods":   new(methods.Methods),
		"http.handlers.chatgate_demo_room": new(demoroom.DemoRoom),
		"http.handlers.chatgate_accounts":  nil, // tested there, in every dialect
	}
	serve := func(t *testing.T, h caddyhttp.MiddlewareHandler, r *http.Request) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		if err := h.ServeHTTP(w, r, nil); err != nil {
			t.Error(err)
		}
		return w
	}
	for _, m := range caddy.GetModules("http.handlers") {
		id := string(m.ID)
		if !strings.HasPrefix(id, "http.handlers.chatgate_") {
			continue
		}
		h, ok := handlers[id]
		if !ok {
			t.Errorf("%s is not tested", id)
		}
		if h == nil {
			continue
		}
		t.Run(id, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/x", strings.NewReader("{}"))
			r.TLS = &tls.ConnectionState{}
			if w := serve(t, h, r); w.Code != http.StatusTooEarly || w.Body.Len() == 0 {
				t.Errorf("in early data: %d %s", w.Code, w.Body)
			}
			r = httptest.NewRequest(http.MethodPost, "/x", strings.NewReader("{}"))
			r.TLS = &tls.ConnectionState{HandshakeComplete: true}
			r.Header.Set("Early-Data", "1")
			if w := serve(t, h, r); w.Code != http.StatusTooEarly {
				t.Errorf("with Early-Data: %d %s", w.Code, w.Body)
			}
		})
	}
}
