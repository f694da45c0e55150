package upstreams

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
)

func TestTLSUpstream(t *testing.T) {
	t.Parallel()
	r := newRoom(t, "tls", nil, true)
	g, tok := gate(t, `https://`+r.addr()+` {
		transport http {
			tls_insecure_skip_verify
		}
	}`)
	bothWays(t, g, tok)
	if r.last().TLS == nil {
		t.Error("not over TLS")
	}
	if resp, b := send(t, g, http.MethodGet, "/missing", tok, nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("%s %v", resp.Status, b)
	}
	c := g.WebSocket(path, tok)
	g.Call(http.MethodPost, "/api/v1/logout", tok, "")
	c.ExpectClose(4401)
	gatetest.Eventually(t, "the upstream to hear of it", func() bool { return r.conns() <= 3 })
}

func TestTLSUpstreamIsVerified(t *testing.T) {
	t.Parallel()
	r := newRoom(t, "tls", nil, true)
	g, tok := gate(t, `https://`+r.addr())
	for _, token := range []string{tok, ""} {
		if _, resp, body := try(t, g, path, token); resp.StatusCode != http.StatusBadGateway {
			t.Errorf("an upstream with a certificate of nobody: %s %s", resp.Status, body)
		}
	}
	if n := r.requests(); n > 0 {
		t.Errorf("the upstream got %d requests", n)
	}
}

func TestUnixUpstream(t *testing.T) {
	t.Parallel()
	sock := filepath.Join(t.TempDir(), "room.sock")
	ln, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	r := newRoom(t, "unix", ln, false)
	g, tok := gate(t, `unix/`+sock)
	bothWays(t, g, tok)
	if resp, _ := send(t, g, http.MethodGet, "/missing", tok, nil); resp.StatusCode != http.StatusNotFound || resp.Header.Get("X-Room") != "unix" {
		t.Errorf("%s", resp.Status)
	}
	c := g.WebSocket(path, tok)
	c.Echo("hello") // the upstream's server has let go of the connection
	r.CloseClientConnections()
	c.SendFrame(gatetest.Frame{Fin: true, Op: 8, Payload: []byte{3, 232}})
	c.ExpectClose(1000)
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	r := newRoom(t, "one", nil, false)
	g, tok := gate(t, r.addr()+` {
		header_up X-Extra one
		header_up -X-Drop
		header_up Host chat.internal
		header_down X-Down two
		header_down -X-Internal
	}`)
	head := []string{
		"X-Drop: dropped", "X-Kept: kept", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: gopher", "X-Forwarded-Host: evil.example",
		"Authorization: Bearer " + tok,
	}
	for _, overTLS := range []bool{false, true} {
		for _, upgrade := range []bool{false, true} {
			addr, proto := g.HTTP, "http"
			var c *gatetest.Raw
			if overTLS {
				addr, proto = g.HTTPS, "https"
				c = dialTLS(t, addr)
			} else {
				c = gatetest.Dial(t, addr)
			}
			want := http.StatusOK
			if upgrade {
				c.Send(gatetest.Handshake(addr, path, head...))
				want = http.StatusSwitchingProtocols
			} else {
				c.Send("GET /page HTTP/1.1\r\nHost: " + addr + "\r\nConnection: close\r\n" + strings.Join(head, "\r\n") + "\r\n\r\n")
			}
			resp, body := c.Response()
			if resp.StatusCode != want {
				t.Fatalf("%s %s", resp.Status, body)
			}
			if resp.Header.Get("X-Down") != "two" || resp.Header.Get("X-Internal") != "" || resp.Header.Get("X-Room") != "one" {
				t.Errorf("upgrade %v: header_down: %v", upgrade, resp.Header)
			}
			up := r.last()
			for name, value := range map[string]string{
				"X-Extra": "one", "X-Drop": "", "X-Kept": "kept", "Authorization": "", "Remote-User": "alice", "Remote-Access": "read-write",
				"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": proto, "X-Forwarded-Host": addr,
			} {
				if got := strings.Join(up.Header.Values(name), "|"); got != value && (name != "X-Forwarded-For" || got != "::1") {
					t.Errorf("TLS %v, upgrade %v: %s is %q, want %q", overTLS, upgrade, name, got, value)
				}
			}
			if up.Host != "chat.internal" {
				t.Errorf("Host is %q", up.Host)
			}
			if upgrade {
				c.Echo("hello")
			}
		}
	}
}

// dialTLS waits for the certificate, which is made after the start.
func dialTLS(t testing.TB, addr string) *gatetest.Raw {
	t.Helper()
	gatetest.AwaitCertificate(t, addr)
	return gatetest.DialTLS(t, addr)
}

func TestOrdinaryRequests(t *testing.T) {
	t.Parallel()
	r := newRoom(t, "one", nil, false)
	g, tok := gate(t, r.addr()+` {
		flush_interval -1
	}`)
	t.Run("what the upstream refuses", func(t *testing.T) {
		for _, token := range []string{tok, ""} {
			_, resp, body := try(t, g, "/forbidden", token)
			if resp.StatusCode != http.StatusForbidden || body != "members of the committee only" || resp.Header.Get("Content-Type") != "text/x-reason" {
				t.Errorf("a refused handshake: %s %v %q", resp.Status, resp.Header, body)
			}
			if _, resp, body := try(t, g, "/ordinary", token); resp.StatusCode != http.StatusOK || body != "just a page" || resp.Header.Get("Sec-WebSocket-Accept") != "" {
				t.Errorf("a handshake answered with a page: %s %q", resp.Status, body)
			}
			resp, br := send(t, g, http.MethodGet, "/missing", token, nil)
			if b, _ := io.ReadAll(br); resp.StatusCode != http.StatusNotFound || string(b) != "no such room" {
				t.Errorf("a missing page: %s %q", resp.Status, b)
			}
		}
	})
	for _, kind := range []string{"text/event-stream", "text/plain"} {
		t.Run("a stream of "+kind, func(t *testing.T) {
			_, br := send(t, g, http.MethodGet, "/slow?type="+kind, "", nil)
			read := func(want string) {
				t.Helper()
				if line, err := br.ReadString('\n'); err != nil || line != want {
					t.Fatalf("%q, %v; want %q", line, err, want)
				}
			}
			read("data: first\n") // before the second is written
			r.release <- struct{}{}
			read("\n")
			read("data: second\n")
		})
	}
	t.Run("a large upload", func(t *testing.T) {
		body := bytes.Repeat([]byte("0123456789abcdef"), 20<<20/16)
		sum := sha256.Sum256(body)
		want := fmt.Sprintf("POST %d %s <nil>", len(body), hex.EncodeToString(sum[:]))
		for _, chunked := range []bool{false, true} {
			var src io.Reader = bytes.NewReader(body)
			if chunked {
				src = struct{ io.Reader }{src}
			}
			resp, br := send(t, g, http.MethodPost, "/upload", tok, src)
			if b, _ := io.ReadAll(br); resp.StatusCode != http.StatusOK || string(b) != want {
				t.Errorf("chunked %v: %s %q, want %q", chunked, resp.Status, b, want)
			}
		}
		n := r.requests()
		if resp, _ := send(t, g, http.MethodPost, "/upload", "", strings.NewReader("hello")); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("a visitor's upload: %s", resp.Status)
		}
		if r.requests() != n {
			t.Error("a visitor's upload came to the upstream")
		}
	})
}

func TestUpstreamDown(t *testing.T) {
	t.Parallel()
	g, tok := gate(t, fmt.Sprintf("127.0.0.1:%d", gatetest.FreePort(t)))
	for _, token := range []string{tok, ""} {
		if _, resp, body := try(t, g, path, token); resp.StatusCode != http.StatusBadGateway {
			t.Errorf("a handshake: %s %s", resp.Status, body)
		}
		if resp, _ := send(t, g, http.MethodGet, "/page", token, nil); resp.StatusCode != http.StatusBadGateway {
			t.Errorf("a page: %s", resp.Status)
		}
	}
}

func TestUpstreamSilent(t *testing.T) {
	t.Parallel()
	up := gatetest.NewUpstream(t, func(_ *gatetest.Upstream, _ net.Conn, br *bufio.Reader, _ string) { io.Copy(io.Discard, br) })
	g, tok := gate(t, up.Addr+` {
		handshake_timeout 1s
	}`)
	for _, token := range []string{tok, ""} {
		start := time.Now()
		_, resp, body := try(t, g, path, token)
		if resp.StatusCode != http.StatusGatewayTimeout && resp.StatusCode != http.StatusBadGateway {
			t.Errorf("%s %s", resp.Status, body)
		}
		t.Logf("%s after %v", resp.Status, time.Since(start))
	}
	gatetest.Eventually(t, "the upstream to be rid of them", func() bool { return up.Open() == 0 })
}
