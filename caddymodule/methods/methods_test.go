package methods

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/origin"
	"github.com/chatgate/chatgate/chatroom"
	"github.com/chatgate/chatgate/chatroom/methods"
)

// noStores has a service that must not be called.
type noStores2 struct{}

func (noStores2) Service(context.Context) (*authcore.Service, func(), error) {
	return new(authcore.Service), func() {}, nil
}
func (noStores2) Hold() func()               { return func() {} }
func (noStores2) HTTPLog() *zap.Logger       { return zap.NewNop() }
func (noStores2) Successors() []caddy.Module { return nil }

func of(t *testing.T, m Methods) *Methods {
	t.Helper()
	o, err := m.resolve(caddy.NewReplacer())
	if err != nil {
		t.Fatal(err)
	}
	m.app, m.logger, m.origins = noStores2{}, zap.NewNop(), origin.Of(m.Origins)
	if m.stripper, err = m.newStripper(o.Identity); err != nil {
		t.Fatal(err)
	}
	if m.endpoint, err = methods.New(o); err != nil {
		t.Fatal(err)
	}
	return &m
}

// handshakeOf is a clean one, from an address.
func handshakeOf(trusted bool) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://chat.example.com/ws", nil)
	r.Header = http.Header{
		"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
	r.RemoteAddr = "192.0.2.7:4711"
	vars := map[string]any{caddyhttp.ClientIPVarKey: "192.0.2.7", caddyhttp.TrustedProxyVarKey: trusted}
	return r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, vars))
}

// What does not become a connection is answered, and each of these differs from what does in one respect.
func TestMethodsRefuses(t *testing.T) {
	m := of(t, Methods{Origins: []string{"https://app.example.com"}, PerAddress: 1})
	for name, tc := range map[string]struct {
		change func(*http.Request)
		status int
	}{
		"no WebSocket": {func(r *http.Request) { r.Header.Del("Upgrade") }, 426},
		"a POST":       {func(r *http.Request) { r.Method = http.MethodPost }, 400},
		"version 8":    {func(r *http.Request) { r.Header.Set("Sec-Websocket-Version", "8") }, 426},
		"no key":       {func(r *http.Request) { r.Header.Del("Sec-Websocket-Key") }, 400},
		"HTTP/2": {func(r *http.Request) {
			r.Method, r.ProtoMajor, r.ProtoMinor = http.MethodConnect, 2, 0
			r.Header = http.Header{":protocol": {"websocket"}, "Sec-Websocket-Version": {"13"}}
		}, 501},
		"HTTP/3": {func(r *http.Request) {
			r.Method, r.ProtoMajor, r.ProtoMinor, r.Proto = http.MethodConnect, 3, 0, "websocket"
			r.Header = http.Header{"Sec-Websocket-Version": {"13"}}
		}, 501},
		"an ordinary GET of HTTP/2":             {func(r *http.Request) { r.ProtoMajor, r.ProtoMinor, r.Header = 2, 0, http.Header{} }, 426},
		"another page's":                        {func(r *http.Request) { r.Header.Set("Origin", "https://evil.example.com") }, 403},
		"a claim in disguise":                   {func(r *http.Request) { r.Header["Remote~user"] = []string{"admin"} }, 400},
		"a credential in disguise":              {func(r *http.Request) { r.Header["Cookie!"] = []string{"sid=1"} }, 400},
		"a header of the handshake in disguise": {func(r *http.Request) { r.Header["Sec+websocket+key"] = []string{"x"} }, 400},
		"two origins": {func(r *http.Request) {
			r.Header["Origin"] = []string{"https://app.example.com", "https://app.example.com"}
		}, 403},
		"a null origin": {func(r *http.Request) { r.Header.Set("Origin", "null") }, 403},
	} {
		t.Run(name, func(t *testing.T) {
			r := handshakeOf(false)
			tc.change(r)
			w := httptest.NewRecorder()
			if err := m.ServeHTTP(w, r, nil); err != nil || w.Code != tc.status || w.Body.String() != "{\"err\":\"bad_request\"}\n" {
				t.Errorf("%d %s, %v; want %d", w.Code, w.Body, err, tc.status)
			}
			if up := w.Header().Get("Upgrade"); (up != "") != (tc.status == 426 && r.ProtoMajor == 1 && r.Header.Get("Upgrade") == "") {
				t.Errorf("Upgrade: %q", up)
			}
		})
	}

	// A recorder cannot be hijacked; the place that was taken is free again.
	for range 3 {
		if err := m.ServeHTTP(httptest.NewRecorder(), handshakeOf(false), nil); err == nil || !strings.Contains(err.Error(), "taken over") {
			t.Fatalf("got %v", err)
		}
	}
	m.endpoint.Admit(netip.MustParseAddr("192.0.2.7"))
	w := httptest.NewRecorder()
	if err := m.ServeHTTP(w, handshakeOf(false), nil); err != nil || w.Code != 429 || w.Header().Get("Retry-After") != "10" {
		t.Errorf("a second one: %d %v, %v", w.Code, w.Header(), err)
	}
}

// What the upstream hears of the client's request.
func TestMethodsForUpstream(t *testing.T) {
	m := of(t, Methods{Upstream: "127.0.0.1:9000", Identity: &chatroom.IdentityHeaders{User: "X-Chat-Who"}})
	for trusted, want := range map[bool]map[string]string{
		false: {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "chat.example.com", "X-Real-Ip": ""},
		true:  {"X-Forwarded-For": "198.51.100.1, 192.0.2.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "chat.example.com", "X-Real-Ip": "198.51.100.1"},
	} {
		r := handshakeOf(trusted)
		for name, value := range map[string]string{
			"X-Forwarded-For": "198.51.100.1", "X-Forwarded-Proto": "https", "X-Real-Ip": "198.51.100.1", "Remote-User": "admin", "X_chat_who": "admin",
			"Authorization": "Basic c2VjcmV0", "Cookie": "ssid=secret", "Accept-Language": "de",
		} {
			r.Header[name] = []string{value}
		}
		h, ref := m.upstreamHeader(r)
		if ref != nil {
			t.Fatal(ref)
		}
		want["Remote-User"], want["X_chat_who"], want["Authorization"], want["Cookie"], want["Accept-Language"] = "", "", "", "", "de"
		for name, value := range want {
			if got := strings.Join(h[name], "|"); got != value {
				t.Errorf("trusted %v: %s is %q, want %q", trusted, name, got, value)
			}
		}
	}
}

// What only JSON can say wrongly.
func TestMethodsJSON(t *testing.T) {
	for name, m := range map[string]Methods{
		"negative in_flight":   {InFlight: -1},
		"negative per_address": {PerAddress: -1},
		"negative timeout":     {Upstream: "127.0.0.1:9000", HandshakeTimeout: -1},
		"huge message":         {MaxMessage: 1 << 30},
		"huge reply":           {MaxReply: 1 << 30, Upstream: "127.0.0.1:9000"},
		"rate":                 {Rate: "x"},
		"fragment":             {Upstream: "ws://127.0.0.1:9000/#x"},
		"empty placeholder":    {Upstream: "ws://{env.CHATGATE_TEST_NOTHING}"},
	} {
		if _, err := m.resolve(caddy.NewReplacer()); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	for upstream, want := range map[string]string{
		"127.0.0.1:9000": "ws://127.0.0.1:9000", "http://chat/x?y=1": "ws://chat/x?y=1", "https://chat": "wss://chat", "wss://[::1]:9": "wss://[::1]:9", "[::1]:9": "ws://[::1]:9",
	} {
		if u, err := (&Methods{Upstream: upstream}).upstreamURL(caddy.NewReplacer()); err != nil || u.String() != want {
			t.Errorf("%s is %v, %v", upstream, u, err)
		}
	}
	if _, err := (&Methods{UpstreamCA: "x", Upstream: "ws://chat"}).needUpstream(); err == nil {
		t.Error("an authority for a clear connection passes")
	}
	if _, err := trusting("methods_test.go"); err == nil || !strings.Contains(err.Error(), "no certificate") {
		t.Errorf("a file without a certificate: %v", err)
	}
}
