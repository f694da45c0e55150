package chatroom

import (
	"crypto/tls"
	"net/http"
	"testing"
)

func TestTooEarly(t *testing.T) {
	early := func(change func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) {
			r.TLS = new(tls.ConnectionState)
			if change != nil {
				change(r)
			}
		}
	}
	plain := func(method string) func(*http.Request) {
		return func(r *http.Request) { r.Method, r.Header = method, http.Header{} }
	}
	for name, tc := range map[string]struct {
		change func(*http.Request)
		early  bool
	}{
		"a handshake without TLS":               {nil, false},
		"a handshake":                           {early(nil), true},
		"a handshake once TLS has been":         {func(r *http.Request) { r.TLS = &tls.ConnectionState{HandshakeComplete: true} }, false},
		"a handshake among other upgrades":      {early(set("Upgrade", "h2c", "WebSocket")), true},
		"an extended CONNECT":                   {early(connectStream(3, nil)), true},
		"a GET":                                 {early(plain(http.MethodGet)), false},
		"a HEAD":                                {early(plain(http.MethodHead)), false},
		"OPTIONS":                               {early(plain(http.MethodOptions)), false},
		"a POST":                                {early(plain(http.MethodPost)), true},
		"a DELETE":                              {early(plain(http.MethodDelete)), true},
		"a method of nobody's":                  {early(plain("get")), true},
		"a POST from early data, before us":     {func(r *http.Request) { plain(http.MethodPost)(r); set("Early-Data", "1")(r) }, true},
		"a POST from early data, with no value": {func(r *http.Request) { plain(http.MethodPost)(r); set("Early-Data", "")(r) }, true},
		"a GET from early data, before us":      {func(r *http.Request) { plain(http.MethodGet)(r); set("Early-Data", "1")(r) }, false},
		"a handshake from early data":           {set("Early-Data", "1"), true},
	} {
		t.Run(name, func(t *testing.T) {
			ref := TooEarly(opening(tc.change))
			if (ref != nil) != tc.early || tc.early && ref.Status != http.StatusTooEarly {
				t.Errorf("%v, want %v", ref, tc.early)
			}
			if _, got := Classify(opening(tc.change)); (got != nil && got.Status == http.StatusTooEarly) != tc.early {
				t.Errorf("classified as %v", got)
			}
		})
	}
}
