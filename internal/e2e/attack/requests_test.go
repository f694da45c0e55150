package attack

import (
	"net/http"
	"strings"
	"testing"
)

func TestHDR05Paths(t *testing.T) {
	c := theChat(t)
	const refused, ambiguous = http.StatusUnauthorized, http.StatusBadRequest
	for _, tc := range []struct {
		target string
		status int
	}{
		{"/refuse/x", refused},
		{"/%72efuse/x", refused},
		{"/refuse%2Fx", ambiguous},
		{"/refuse%2fx", ambiguous},
		{"/REFUSE/x", refused},
		{"/Refuse/x", refused},
		{"/refuse/x?/allow/", refused},
		{"/refuse/?path=/allow/x", refused},
		{"http://HOST/refuse/x", refused},
		{"/allow/../refuse/x", ambiguous},
		{"/allow/..%2frefuse/x", ambiguous},
		{"/allow/%2e%2e/refuse/x", ambiguous},
		{"/allow/%2E./refuse/x", ambiguous},
		{"/allow/..%5crefuse/x", ambiguous},
		{"/allow/..\\refuse/x", ambiguous},
		{"/allow/..;/refuse/x", ambiguous},
		{"/allow/;/../refuse/x", ambiguous},
		{"/allow/x;y", ambiguous},
		{"/allow/x%3by", ambiguous},
		{"/allow/./x", ambiguous},
		{"/./refuse/x", ambiguous},
		{"//refuse/x", ambiguous},
		{"/allow//refuse/x", ambiguous},
		{"/refuse//x", ambiguous},
		{"/refuse/x#/allow/", ambiguous},
		{"/allow/x#/refuse/x", ambiguous},
		{"/refuse/x%00", ambiguous},
		{"/allow/%00/refuse", ambiguous},
		{"/allow/x%0a", ambiguous},
		{"/allow/x%0d%0aRemote-User:%20admin", ambiguous},
		{"/allow/x%7f", ambiguous},
	} {
		t.Run(tc.target, func(t *testing.T) {
			n := c.up.count()
			resp, body := c.get(strings.Replace(tc.target, "HOST", c.HTTP, 1), "Connection: close")
			if resp.StatusCode != tc.status {
				t.Errorf("%s %s, want %d", resp.Status, body, tc.status)
			}
			c.up.untouched(t, n)
		})
	}
	// What is let through arrives as it was judged.
	for _, target := range []string{"/allow/x", "/allow/%252e%252e/refuse/x", "/allow/%252frefuse", "/allow/a%20b?q=%2e%2e/x&&=", "/allow/x?y=//;\\", "/allow/%C3%A9", "/allow/x?"} {
		t.Run(target, func(t *testing.T) {
			n := c.up.count()
			if resp, body := c.get(target, "Connection: close"); resp.StatusCode != http.StatusOK {
				t.Fatalf("%s %s", resp.Status, body)
			}
			if got := c.up.visit(t, n).target(); got != target {
				t.Errorf("the upstream got %q", got)
			}
		})
	}
}

func TestHDR05Headers(t *testing.T) {
	c := theChat(t)
	for _, line := range []string{
		"X-Original-URL: /allow/x", "X-Rewrite-URL: /allow/x", "X-Forwarded-Path: /allow/x", "X-Forwarded-Uri: /allow/x", "X-HTTP-Method-Override: OPTIONS",
		"User-Agent: kube-probe/1.30", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: localhost", "Forwarded: for=127.0.0.1", "Authorization: Basic YWRtaW46YWRtaW4=",
		"Cookie: ssid=admin; admin=1", "Upgrade-Insecure-Requests: 1", "Expect: 100-continue", "Max-Forwards: 0",
	} {
		t.Run(line, func(t *testing.T) {
			n := c.up.count()
			resp, body := c.get("/refuse/x", line, "Connection: close")
			if resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s %s", resp.Status, body)
			}
			c.up.untouched(t, n)
		})
	}
	for _, host := range []string{"127.0.0.1", "LOCALHOST", "localhost.", "127.0.0.1:1", "evil.example", "127.0.0.1.", "[::1]", "a b", "evil@127.0.0.1", ".."} {
		t.Run("Host "+host, func(t *testing.T) {
			n := c.up.count()
			r := c.dial()
			r.Send(request("GET", "/refuse/x", host, "Connection: close"))
			r.Response() // whatever it is; for hosts that are not served Caddy has an empty 200
			c.up.untouched(t, n)
		})
	}
}

func TestHDR05Methods(t *testing.T) {
	c := theChat(t)
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "PROPFIND", "FOO", "get", "TRACE", "CONNECT", "PRI", strings.Repeat("A", 40)} {
		t.Run("visitor "+method, func(t *testing.T) {
			n := c.up.count()
			for _, path := range []string{"/x", "/refuse/x"} {
				resp, body := c.request(method, path, "Content-Length: 0", "Connection: close")
				if resp.StatusCode < 400 || resp.StatusCode >= 500 && method != "PRI" {
					t.Errorf("%s: %s %s", path, resp.Status, body)
				}
			}
			c.up.untouched(t, n)
		})
	}
	for _, method := range []string{"HEAD", "OPTIONS"} {
		t.Run("visitor "+method, func(t *testing.T) {
			n := c.up.count()
			r := c.dial()
			r.Send(request(method, "/refuse/x", c.HTTP, "Connection: close"))
			if line, err := r.R.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 401 ") {
				t.Errorf("%q, %v", line, err)
			}
			c.up.untouched(t, n)
		})
	}
	for _, tc := range []struct {
		method, target string
	}{{"TRACE", "/allow/x"}, {"CONNECT", c.HTTP}, {"CONNECT", "evil.example:443"}, {"CONNECT", "/allow/x"}, {"OPTIONS", "*"}} {
		t.Run("alice "+tc.method+" "+tc.target, func(t *testing.T) {
			n := c.up.count()
			resp, body := c.request(tc.method, tc.target, bearer(c.alice), "Connection: close")
			// net/http answers OPTIONS * itself, and Caddy a host that it does not serve.
			if resp.StatusCode < 400 && tc.target != "*" && !strings.HasPrefix(tc.target, "evil") {
				t.Errorf("%s %s", resp.Status, body)
			}
			c.up.untouched(t, n)
		})
	}
	t.Run("alice POST with overrides", func(t *testing.T) {
		n := c.up.count()
		resp, body := c.request("POST", "/x", bearer(c.alice), "Content-Length: 0", "X-HTTP-Method-Override: DELETE", "X-Method-Override: DELETE", "X-HTTP-Method: DELETE", "Connection: close")
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s %s", resp.Status, body)
		}
		v := c.up.visit(t, n)
		v.assertNo(t, "DELETE")
		if v.method() != "POST" {
			t.Errorf("the upstream got a %s", v.method())
		}
		assertIdentity(t, v.head, "alice", true)
	})
}

func TestHDR06Trailers(t *testing.T) {
	c := theChat(t)
	for _, announced := range [][]string{
		{"Trailer: Remote-User, X-Gw-User, X-Note"},
		{"Trailer: Remote~User, X!Gw!User, X-Note"},
		{"Trailer-: Remote-User, X-Gw-User, X-Note"},
		{"Trailer: Remote-User", "Trailer: X-Gw-User, X-Note", "TE: trailers", "Connection: te"},
		nil,
	} {
		t.Run(strings.Join(announced, "; "), func(t *testing.T) {
			n := c.up.count()
			r := c.dial()
			r.Send(request("POST", "/x", c.HTTP, append([]string{bearer(c.alice), "Transfer-Encoding: chunked"}, announced...)...) +
				"5\r\nhello\r\n0\r\nRemote-User: " + forged + "\r\nRemote~User: " + forged + "\r\nX-Gw-User: " + forged + "\r\nX-Note: " + forged + "\r\n\r\n")
			if resp, body := r.TryStatus(); resp != http.StatusOK && !(announced == nil && resp == http.StatusBadRequest) {
				t.Fatalf("%d %s", resp, body)
			}
			v := c.up.visit(t, n)
			v.assertNo(t, forged, "\r\ntrailer:", "\r\nte:")
			if !strings.Contains(string(v.bytes()), "hello") {
				t.Errorf("the body is not there: %q", v.bytes())
			}
			assertIdentity(t, v.head, "alice", true)
		})
	}
}
