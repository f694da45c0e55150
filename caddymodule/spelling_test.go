package caddymodule_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/quic-go/quic-go/http3"

	"github.com/chatgate/chatgate/caddymodule/accounts/auth"
	"github.com/chatgate/chatgate/caddymodule/accounts/dialect"
	"github.com/chatgate/chatgate/caddymodule/accounts/rooms"
	"github.com/chatgate/chatgate/caddymodule/accounts/users"
	"github.com/chatgate/chatgate/internal/gatetest"
)

// startSite runs a site with every dialect in front of an upstream, over all versions of HTTP, and returns its address.
// What none of chatgate's handlers takes reaches the upstream as it is.
func startSite(t *testing.T, upstream string) string {
	t.Helper()
	home(t)
	dir, err := os.MkdirTemp("", "gw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	port := gatetest.FreePort(t)
	file := fmt.Sprintf(`{
	admin off
	storage file_system %[1]s
	http_port %[4]d
	auto_https disable_redirects
	skip_install_trust
	persist_config off
	log {
		output discard
	}
	chatgate {
		accounts sqlite %[1]s/accounts.db
		login_rate 100000/1m
	}
}

https://localhost:%[2]d {
	tls internal
	chatgate_accounts rooms
	chatgate_accounts auth
	chatgate_accounts users
	chatgate_methods
	chatgate_methods /two
	@more path /three /four
	chatgate_methods @more
	@when {
		path /five
		header Upgrade websocket
	}
	chatgate_methods @when
	reverse_proxy %[3]s
}
`, dir, port, upstream, gatetest.FreePort(t))
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(file), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("localhost:%d", port)
	gatetest.AwaitCertificate(t, addr)
	return addr
}

// endpointOf is one of a dialect's routes, at its default prefix.
type endpointOf struct{ Dialect, Method, Path string }

// endpoints returns every endpoint of every dialect.
func endpoints() (all []endpointOf) {
	for _, d := range []*dialect.Dialect{&rooms.Dialect, &auth.Dialect, &users.Dialect} {
		for _, rt := range d.Routes {
			all = append(all, endpointOf{d.Name, rt.Method, d.Prefix + rt.Path})
		}
	}
	return all
}

func trustAll(protocols ...string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", NextProtos: protocols}
}

// sender sends one request with a target as it is, and returns what came back.
type sender func(method, target, body string, fields ...string) (status int, header http.Header, answer string, err error)

// senders returns one for each version of HTTP, and one whose targets have a scheme and a host.
func senders(t *testing.T, addr string) map[string]sender {
	t.Helper()
	h1 := &http1{addr: addr}
	t.Cleanup(h1.close)
	h2 := &http.Transport{TLSClientConfig: trustAll(), ForceAttemptHTTP2: true}
	t.Cleanup(h2.CloseIdleConnections)
	h3 := &http3.Transport{TLSClientConfig: trustAll(http3.NextProtoH3)}
	t.Cleanup(func() { _ = h3.Close() })
	return map[string]sender{
		"HTTP/1.1": h1.send,
		"HTTP/1.1, absolute": func(method, target, body string, _ ...string) (int, http.Header, string, error) {
			return h1.send(method, "https://"+addr+target, body)
		},
		"HTTP/2": through(h2, addr), "HTTP/3": through(h3, addr),
	}
}

func through(transport http.RoundTripper, addr string) sender {
	return func(method, target, body string, fields ...string) (int, http.Header, string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		u := &url.URL{Scheme: "https", Host: addr, Opaque: "//" + addr + target} // which goes out as it is
		r, err := http.NewRequestWithContext(ctx, method, "https://"+addr, strings.NewReader(body))
		if err != nil {
			return 0, nil, "", err
		}
		r.URL = u
		r.Header.Set("Content-Type", "application/json")
		for _, f := range fields {
			if name, value, ok := strings.Cut(f, ": "); ok {
				r.Header.Set(name, value)
			}
		}
		resp, err := transport.RoundTrip(r)
		if err != nil {
			return 0, nil, "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return resp.StatusCode, resp.Header, string(b), err
	}
}

// http1 is a client of HTTP/1.1 that keeps its connection.
type http1 struct {
	addr string
	conn net.Conn
	br   *bufio.Reader
}

func (c *http1) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func (c *http1) send(method, target, body string, fields ...string) (int, http.Header, string, error) {
	if c.conn == nil {
		conn, err := tls.Dial("tcp", c.addr, trustAll("http/1.1"))
		if err != nil {
			return 0, nil, "", err
		}
		c.conn, c.br = conn, bufio.NewReader(conn)
	}
	_ = c.conn.SetDeadline(time.Now().Add(20 * time.Second))
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", method, target, c.addr, len(body))
	for _, f := range fields {
		head += f + "\r\n"
	}
	if _, err := io.WriteString(c.conn, head+"\r\n"+body); err != nil {
		c.close()
		return 0, nil, "", err
	}
	resp, err := http.ReadResponse(c.br, &http.Request{Method: method})
	if err != nil {
		c.close()
		return 0, nil, "", err
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		c.close()
		return resp.StatusCode, resp.Header, "", nil
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.Close {
		c.close()
	}
	return resp.StatusCode, resp.Header, string(b), err
}

// spellings returns what some server or other takes for a path, and whether it is served.
func spellings(path string) map[string]bool {
	slash := strings.LastIndexByte(path, '/')
	parent, last := path[:slash], path[slash+1:]
	hex := func(s string) string { return fmt.Sprintf("%%%02x", s[0]) + s[1:] }
	wide := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r - 'a' + 'ａ'
		}
		return r
	}, last)
	all := map[string]bool{
		path: true, path + "/": true, parent + "/" + hex(last): true, "/" + hex(path[1:]): true, parent + "/" + hex(last) + "/": true, path + "?": true, path + "/?a=b": true,
		parent + "/" + strings.ToUpper(last): false, parent + "/" + strings.ToUpper(last[:1]) + last[1:]: false, strings.ToUpper(path): false,
		"/" + strings.ToUpper(path[1:2]) + path[2:]: false, parent + "/" + strings.ToUpper(last) + "/": false, parent + "/" + url.PathEscape(wide): false,
		"/" + path: false, "//" + path: false, path + "//": false, parent + "//" + last: false, "/." + path: false, "/./" + path: false, "/x/.." + path: false,
		path + "/x/..": false, path + "/../" + last: false, path + "/x/../": false, "/%2e%2e" + path: false, "/x/%2e%2e" + path: false, "/x/..;" + path: false,
		path + "%2f": false, path + "%2F%2F": false, "/%2f" + path[1:]: false, "\\" + path[1:]: false, "/\\" + path[1:]: false, parent + "\\" + last: false, parent + "%5c" + last: false,
		path + "\\": false, path + "%5C": false, path + ";": false, path + ";a=b": false, path + ";jsessionid=1": false, parent + ";a=b/" + last: false, "/;" + path: false, path + "%3ba=b": false,
		path + ".": false, path + "...": false, path + "%2e": false, path + "%20": false, path + "%20.": false, parent + "/%20" + last: false, path + "%09": false, path + "%c2%a0": false,
		path + "%0a": false, path + "%0d%0a": false, path + "%00": false, path + "%00.png": false, path + "%3f": false, path + "%3fa=b": false, path + "%23": false, path + "%e2%80%8b": false,
		parent + "/%25" + hex(last)[1:]: false, parent + "/%2525" + hex(last)[1:]: false, "/%25" + hex(path[1:])[1:]: false,
	}
	for i, c := range path[1:] { // at every slash, so that the prefix is covered as well
		if c == '/' {
			before, after := path[:i+1], path[i+2:]
			for _, sep := range []string{"//", "/./", "/x/../", "/;/", "%5c", "\\", "/%20/", "./", "%20/", "/%2f", ";a=b/"} {
				all[before+sep+after] = false
			}
			all[before+"%2f"+after] = true
		}
	}
	return all
}

// What is meant for an endpoint of ours never reaches the chat, with the password in it: it is served, or it is 404 in the
// manner of its dialect.
func TestSpellingsOfEndpoints(t *testing.T) {
	up := gatetest.NewUpstream(t, nil)
	addr := startSite(t, up.Addr)
	notFound := map[string]string{
		"rooms": `{"error":{"type":"NOT_FOUND","Type":"NOT_FOUND","message":"there is nothing here; the endpoint is PATH"},"data":null}`,
		"auth":  `{"error":"not_found","message":"there is nothing here; the endpoint is PATH"}`,
		"users": `{"success":false,"data":{"message":"NOT_FOUND"}}`,
	}
	const body = `{"password":"marker-secret"}` // which is no whole login, so that none is counted
	for version, send := range senders(t, addr) {
		for _, e := range endpoints() {
			t.Run(version+" "+e.Method+" "+e.Path, func(t *testing.T) {
				path, named := strings.CutSuffix(e.Path, "{id}")
				if named {
					path += "some-id"
				}
				served, _, exact, err := send(e.Method, path, body)
				if err != nil || served == http.StatusNotFound || len(up.Heads()) > 0 {
					t.Fatalf("%s: %d %s %v", path, served, exact, err)
				}
				for target, ok := range spellings(path) {
					if target[0] != '/' && version != "HTTP/1.1" { // cannot be sent
						continue
					}
					status, _, answer, err := send(e.Method, target, body)
					want, say := served, exact
					if !ok && (!named || status != served) { // else it is another id
						want, say = http.StatusNotFound, strings.ReplaceAll(notFound[e.Dialect], "PATH", e.Path)+"\n"
					}
					if refused := target[0] != '/' && status == http.StatusBadRequest; !refused && (err != nil || status != want || answer != say) {
						t.Errorf("%s: %d %s %v, want %d %s", target, status, answer, err, want, say)
					}
					if heads := up.Heads(); len(heads) > 0 {
						t.Fatalf("%s reached the chat: %s", target, heads[0])
					}
				}
			})
		}
	}
	h1 := &http1{addr: addr}
	t.Cleanup(h1.close)
	for _, path := range []string{"/ws", "/two", "/three", "/four", "/five"} {
		t.Run("a WebSocket at "+path, func(t *testing.T) {
			for target, ok := range spellings(path) {
				status, _, answer, err := h1.send(http.MethodGet, target, "", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: "+gatetest.Key)
				want := http.StatusNotFound
				if ok {
					want = http.StatusSwitchingProtocols
				}
				if target[0] != '/' && status == http.StatusBadRequest {
					want = status
				}
				if err != nil || status != want || want == http.StatusNotFound && answer != `{"err":"bad_request"}`+"\n" {
					t.Errorf("%s: %d %s %v, want %d", target, status, answer, err, want)
				}
				if heads := up.Heads(); len(heads) > 0 {
					t.Fatalf("%s reached the chat: %s", target, heads[0])
				}
			}
		})
	}

	// A target with a scheme, and no slash behind it.
	for _, target := range []string{"https:api/v1/login", "https:/api/v1/Login", "https:///api/v1/login/", "https:users/login"} {
		if status, _, answer, err := h1.send(http.MethodPost, target, body); err == nil && status < 400 {
			t.Errorf("%s: %d %s", target, status, answer)
		}
	}
	if heads := up.Heads(); len(heads) > 0 {
		t.Errorf("this reached the chat: %s", heads[0])
	}

	// The chat keeps what is its own.
	for _, target := range []string{
		"/", "/api/v1/rooms", "/api/v1/rooms/Lobby/messages", "/api/v1/loginx", "/api/v1/log-in", "/api/v1/login.json", "/api/v1/login/again", "/api/auth/foo", "/users", "/users/",
		"/users/alice", "/Users/Alice", "/users/log_in", "/users/info/x", "/wss", "/ws/x", "/x/ws", "/api/v1/logout_al", "/api/auth/users", "/api/auth/users/", "/login",
	} {
		n := len(up.Heads())
		if _, _, _, err := h1.send(http.MethodGet, target, ""); err != nil {
			t.Errorf("%s: %v", target, err)
		}
		if head := up.LastHead(t, n); !strings.HasPrefix(head, "GET "+target+" HTTP/1.1\r\n") {
			t.Errorf("%s: the chat got %q", target, head)
		}
	}
}

// HEAD is served where GET is, with the same header, and no body.
func TestHEAD(t *testing.T) {
	up := gatetest.NewUpstream(t, nil)
	addr := startSite(t, up.Addr)
	gets := make(map[string]bool)
	for _, e := range endpoints() {
		gets[e.Path] = gets[e.Path] || e.Method == http.MethodGet
	}
	for version, send := range senders(t, addr) {
		name := "u" + strings.ToLower(strings.NewReplacer("/", "", ".", "", ",", "", " ", "").Replace(version))
		const password = "Lantern-Quarry-71"
		if status, _, answer, err := send(http.MethodPost, "/users/register", `{"username":"`+name+`","password":"`+password+`"}`); status != http.StatusOK || err != nil {
			t.Fatalf("%s: register: %d %s %v", version, status, answer, err)
		}
		_, _, answer, err := send(http.MethodPost, "/users/login", `{"username":"`+name+`","password":"`+password+`"}`)
		_, token, _ := strings.Cut(answer, `"ssid":"`)
		token, _, ok := strings.Cut(token, `"`)
		if !ok || err != nil {
			t.Fatalf("%s: login: %s %v", version, answer, err)
		}
		for _, e := range endpoints() {
			path := strings.Replace(e.Path, "{id}", "some-id", 1)
			for what, fields := range map[string][]string{"logged in": {"Authorization: Bearer " + token}, "not logged in": nil} {
				t.Run(version+" "+path+", "+what, func(t *testing.T) {
					headed, head, body, err := send(http.MethodHead, path, "", fields...)
					if err != nil || body != "" {
						t.Fatalf("%d %q %v", headed, body, err)
					}
					if e.Method != http.MethodGet {
						if (headed == http.StatusOK || headed == http.StatusNoContent) && !gets[e.Path] {
							t.Errorf("HEAD of a %s: %d", e.Method, headed)
						}
						return
					}
					got, want, body, err := send(http.MethodGet, path, "", fields...)
					if err != nil || headed != got || body == "" || got == http.StatusMethodNotAllowed {
						t.Fatalf("%d, GET %d %q %v", headed, got, body, err)
					}
					head.Del("Date")
					want.Del("Date")
					if !reflect.DeepEqual(head, want) {
						t.Errorf("%v, GET %v", head, want)
					}
				})
			}
		}
	}
	if heads := up.Heads(); len(heads) > 0 {
		t.Errorf("this reached the chat: %s", heads[0])
	}
}
