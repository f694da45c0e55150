package upstreams

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/chatgate/chatgate/internal/certtest"
	"github.com/chatgate/chatgate/internal/gatetest"
)

// netProxy is a network proxy, of HTTP and SOCKS5 alike. It alone knows where the names under .invalid lead, so that what gets
// there went through it.
type netProxy struct {
	addr  string
	hosts map[string]string

	mu    sync.Mutex
	asked []string // CONNECT or SOCKS, the target, and the credential
}

func newNetProxy(t testing.TB, cfg *tls.Config, hosts map[string]string) *netProxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if cfg != nil {
		ln = tls.NewListener(ln, cfg)
	}
	p := &netProxy{addr: ln.Addr().String(), hosts: hosts}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		all.Wait()
	})
	return p
}

func (p *netProxy) took() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}

func (p *netProxy) serve(c net.Conn) {
	defer c.Close()
	br := bufio.NewReader(c)
	first, err := br.Peek(1)
	if err != nil {
		return
	}
	var how, target, credential, yes, no string
	if first[0] == 5 {
		how, yes, no = "SOCKS", "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00", "\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00"
		target, credential, err = greetSOCKS(c, br)
	} else {
		how, yes, no = "CONNECT", "HTTP/1.1 200 Connection established\r\n\r\n", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
		var req *http.Request
		if req, err = http.ReadRequest(br); err == nil {
			how, target, credential = req.Method, req.Host, req.Header.Get("Proxy-Authorization")
		}
	}
	if err != nil {
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, strings.TrimSpace(how+" "+target+" "+credential))
	p.mu.Unlock()
	addr, known := p.hosts[target]
	if !known || how == "GET" {
		_, _ = io.WriteString(c, no)
		return
	}
	up, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer up.Close()
	if _, err := io.WriteString(c, yes); err != nil {
		return
	}
	go func() {
		defer up.Close()
		_, _ = io.Copy(up, br)
	}()
	_, _ = io.Copy(c, up)
}

// greetSOCKS does the server's side of RFC 1928 up to the request, with a password (RFC 1929) if the client has one.
func greetSOCKS(c io.Writer, br *bufio.Reader) (target, credential string, err error) {
	take := func(n int) []byte {
		b := make([]byte, n)
		if err == nil {
			_, err = io.ReadFull(br, b)
		}
		return b
	}
	text := func() string { return string(take(int(take(1)[0]))) }
	methods := take(int(take(2)[1]))
	if strings.Contains(string(methods), "\x02") {
		_, _ = io.WriteString(c, "\x05\x02")
		take(1)
		credential = text() + ":" + text()
		_, _ = io.WriteString(c, "\x01\x00")
	} else {
		_, _ = io.WriteString(c, "\x05\x00")
	}
	if head := take(4); err == nil && string(head) != "\x05\x01\x00\x03" { // CONNECT, to a name
		return "", "", fmt.Errorf("asked % x", head)
	}
	host, port := text(), take(2)
	return fmt.Sprintf("%s:%d", host, int(port[0])<<8|int(port[1])), credential, err
}

// TestNetworkProxy: WebSockets go where the transport's network proxy leads, and not past it.
func TestNetworkProxy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	authority := certtest.NewAuthority(t, dir)
	plain, overTLS := newRoom(t, "plain", nil, false), newTLSRoom(t, &tls.Config{Certificates: []tls.Certificate{authority.Issue(t, "room", "tls.invalid").TLS}})
	hosts := map[string]string{"plain.invalid:9000": plain.addr(), "tls.invalid:9443": overTLS.addr()}
	bare := newNetProxy(t, nil, hosts)
	secured := newNetProxy(t, &tls.Config{Certificates: []tls.Certificate{authority.Issue(t, "proxy", "127.0.0.1").TLS}}, hosts)

	route := func(path, upstream, transport string) string {
		return "chatgate_proxy " + path + "/* " + upstream + " {\n\t\ttransport http {\n\t\t\t" + transport + "\n\t\t}\n\t}\n\t"
	}
	trust := "\n\t\t\ttls_trust_pool file " + authority.File
	g, tok := gate(t, strings.TrimPrefix(
		route("/http", "plain.invalid:9000", "network_proxy url http://"+bare.addr)+
			route("/http-tls", "https://tls.invalid:9443", "network_proxy url http://me:secret@"+bare.addr+trust)+
			route("/https", "https://tls.invalid:9443", "network_proxy url https://"+secured.addr+trust)+
			route("/socks", "plain.invalid:9000", "network_proxy url socks5://"+bare.addr)+
			route("/socks-tls", "https://tls.invalid:9443", "network_proxy url socks5h://me:secret@"+bare.addr+trust)+
			route("/old", "plain.invalid:9000", "forward_proxy_url http://"+bare.addr)+
			route("/refused", "other.invalid:9000", "network_proxy url http://"+bare.addr)+
			route("/refused-socks", "other.invalid:9000", "network_proxy url socks5://"+bare.addr)+
			route("/none", "plain.invalid:9000", "network_proxy none")+
			route("/gopher", "plain.invalid:9000", "network_proxy url gopher://"+bare.addr), "chatgate_proxy "))
	for path, want := range map[string]string{
		"/http":      "CONNECT plain.invalid:9000",
		"/http-tls":  "CONNECT tls.invalid:9443 Basic bWU6c2VjcmV0",
		"/https":     "CONNECT tls.invalid:9443",
		"/socks":     "SOCKS plain.invalid:9000",
		"/socks-tls": "SOCKS tls.invalid:9443 me:secret",
		"/old":       "CONNECT plain.invalid:9000",
	} {
		p := bare
		if path == "/https" {
			p = secured
		}
		n := len(p.took())
		g.WebSocket(path+"/x", tok).Echo("hello")
		if took := p.took()[n:]; len(took) != 1 || took[0] != want {
			t.Errorf("%s: the proxy was asked for %q, want %q", path, took, want)
		}
	}
	for _, path := range []string{"/refused", "/refused-socks", "/none", "/gopher"} {
		if _, resp, body := try(t, g, path+"/x", tok); resp.StatusCode != http.StatusBadGateway {
			t.Errorf("%s: %s %s", path, resp.Status, body)
		}
	}
}

// TestNetworkProxyOfEnvironment: without an option, Caddy takes the proxy of the environment, for WebSockets as well.
func TestNetworkProxyOfEnvironment(t *testing.T) {
	t.Parallel()
	r := newRoom(t, "plain", nil, false)
	p := newNetProxy(t, nil, map[string]string{"plain.invalid:9000": r.addr()})
	g := gatetest.Start(t, "{\n\t{{GLOBAL}}\n\tchatgate {\n\t\taccounts sqlite\n\t}\n}\nhttp://{{HTTP}} {\n\tchatgate_proxy plain.invalid:9000 {\n\t\tanonymous allow\n\t}\n}\n",
		gatetest.Options{Env: []string{"HTTP_PROXY=http://" + p.addr}})
	g.WebSocket("/", "").Echo("hello")
	if took := p.took(); len(took) != 1 || took[0] != "CONNECT plain.invalid:9000" {
		t.Errorf("the proxy was asked for %q", took)
	}
}
