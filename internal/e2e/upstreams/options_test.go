package upstreams

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/chatgate/chatgate/internal/certtest"
	"github.com/chatgate/chatgate/internal/gatetest"
)

// newTLSRoom starts a room on a free port of loopback, over TLS with that configuration.
func newTLSRoom(t testing.TB, cfg *tls.Config) *room {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return newTLSRoomOn(t, ln, cfg)
}

func newTLSRoomOn(t testing.TB, ln net.Listener, cfg *tls.Config) *room {
	t.Helper()
	r := &room{name: "tls", release: make(chan struct{})}
	r.Server = httptest.NewUnstartedServer(r)
	r.Listener.Close()
	r.Listener, r.TLS = ln, cfg
	r.StartTLS()
	t.Cleanup(r.CloseClientConnections)
	t.Cleanup(r.Close)
	return r
}

// routes starts a gateway with a chatgate_proxy for each path, which names its upstreams and options.
func routes(t testing.TB, proxies map[string]string) (*gatetest.Gateway, string) {
	t.Helper()
	var all strings.Builder
	for path, proxy := range proxies {
		fmt.Fprintf(&all, "chatgate_proxy %s/* %s\n\t", path, proxy)
	}
	return gate(t, strings.TrimPrefix(all.String(), "chatgate_proxy "))
}

// transport is an upstream with options of its transport.
func transport(upstream string, options ...string) string {
	return upstream + " {\n\t\thandshake_timeout 1m\n\t\ttransport http {\n\t\t\t" + strings.Join(options, "\n\t\t\t") + "\n\t\t}\n\t}"
}

// ended waits for the close frame of a WebSocket that the client keeps busy, and for the end.
func ended(t testing.TB, c *gatetest.Raw, code int) {
	t.Helper()
	go func() {
		for err := error(nil); err == nil; time.Sleep(50 * time.Millisecond) {
			_, err = c.Write(gatetest.Frame{Fin: true, Op: 10}.Encode(true))
		}
	}()
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	for {
		f, err := gatetest.ReadFrame(c.R)
		if err != nil {
			t.Fatalf("waiting for close %d: %v", code, err)
		}
		if f.Op == 8 {
			if f.CloseCode() != code {
				t.Errorf("close %d, want %d", f.CloseCode(), code)
			}
			c.Close()
			return
		}
	}
}

// mute is an upstream that completes the handshake, and then takes what comes and says nothing.
func mute(_ *gatetest.Upstream, c net.Conn, br *bufio.Reader, head string) {
	_, _ = io.WriteString(c, gatetest.Accept(head))
	for {
		f, err := gatetest.ReadFrame(br)
		if err != nil || f.Op == 8 {
			_, _ = c.Write(gatetest.Frame{Fin: true, Op: 8, Payload: []byte{3, 233}}.Encode(false))
			return
		}
	}
}

// TestTimeouts: what the reverse proxy and its transport allow a WebSocket ends it with a close frame, and a handshake with an
// answer, whatever handshake_timeout would allow.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	silent := gatetest.NewUpstream(t, mute)
	closed := make(chan struct{})
	never := gatetest.NewUpstream(t, func(_ *gatetest.Upstream, _ net.Conn, _ *bufio.Reader, _ string) { <-closed })
	stuffed := gatetest.NewUpstream(t, func(_ *gatetest.Upstream, c net.Conn, _ *bufio.Reader, head string) {
		_, _ = io.WriteString(c, gatetest.Accept(head))
		<-closed
	})
	t.Cleanup(func() { close(closed) }) // before the upstreams are
	r, overTLS := newRoom(t, "one", nil, false), newRoom(t, "tls", nil, true)
	ln, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing, also no TLS
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	g, tok := routes(t, map[string]string{
		"/stream":   r.addr() + " {\n\t\tstream_timeout 1s\n\t}",
		"/read":     transport(silent.Addr, "read_timeout 1s"),
		"/read-tls": transport("https://"+overTLS.addr(), "read_timeout 1s", "tls_insecure_skip_verify"),
		"/write":    transport(stuffed.Addr, "write_timeout 1s"),
		"/header":   transport(never.Addr, "response_header_timeout 1s"),
		"/hello":    transport("https://"+ln.Addr().String(), "tls_timeout 1s"),
		"/moved":    never.Addr + " {\n\t\thandshake_timeout 1s\n\t\ttransport http {\n\t\t\tread_timeout 1h\n\t\t\twrite_timeout 1h\n\t\t}\n\t}",
	})
	open := func(t *testing.T, path string) *gatetest.Raw {
		t.Helper()
		c, resp, body := try(t, g, path, tok)
		if resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("%s %s", resp.Status, body)
		}
		return c
	}
	for path, fails := range map[string]func(t *testing.T){
		"/stream":   func(t *testing.T) { ended(t, open(t, "/stream/x"), 1001) },
		"/read":     func(t *testing.T) { ended(t, open(t, "/read/x"), 1001) },
		"/read-tls": func(t *testing.T) { open(t, "/read-tls/x").ExpectClose(1001) },
		"/write": func(t *testing.T) {
			c := open(t, "/write/x")
			go func() {
				one := gatetest.Frame{Fin: true, Op: 2, Payload: make([]byte, 1<<20)}.Encode(true)
				for err := error(nil); err == nil; {
					_, err = c.Write(one)
				}
			}()
			_ = c.SetReadDeadline(time.Now().Add(25 * time.Second)) // without the option it takes 30 s
			if f, err := gatetest.ReadFrame(c.R); err != nil || f.CloseCode() != 1001 {
				t.Errorf("%+v, %v", f, err)
			}
			c.Close()
		},
		"/header": func(t *testing.T) { answers(t, g, "/header/x", tok, http.StatusGatewayTimeout) },
		"/hello":  func(t *testing.T) { answers(t, g, "/hello/x", tok, http.StatusBadGateway) },
		"/moved":  func(t *testing.T) { answers(t, g, "/moved/x", tok, http.StatusGatewayTimeout) },
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			fails(t)
		})
	}
}

func answers(t testing.TB, g *gatetest.Gateway, path, token string, status int) {
	t.Helper()
	if _, resp, body := try(t, g, path, token); resp.StatusCode != status {
		t.Errorf("%s: %s %s, want %d", path, resp.Status, body, status)
	}
}

// TestMaxResponseHeader: it bounds the answer to a handshake, below and above chatgate's own bound.
func TestMaxResponseHeader(t *testing.T) {
	t.Parallel()
	up := gatetest.NewUpstream(t, func(_ *gatetest.Upstream, c net.Conn, br *bufio.Reader, head string) {
		size := 2 << 10
		if strings.Contains(head, "/large") {
			size = 100 << 10
		}
		_, _ = io.WriteString(c, gatetest.Accept(head, "X-Filler: "+strings.Repeat("x", size)))
		_, _ = io.Copy(io.Discard, br)
	})
	g, tok := routes(t, map[string]string{
		"/low":  transport(up.Addr, "max_response_header 1KB"),
		"/high": transport(up.Addr, "max_response_header 200KB"),
		"/none": up.Addr,
	})
	for path, status := range map[string]int{
		"/low/x": 502, "/none/x": 101, "/none/large": 502, "/high/x": 101, "/high/large": 101,
	} {
		answers(t, g, path, tok, status)
	}
}

// TestDialling: a WebSocket is dialled as the transport is configured to dial.
func TestDialling(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	authority := certtest.NewAuthority(t, dir)
	strict := newTLSRoom(t, &tls.Config{
		Certificates: []tls.Certificate{authority.Issue(t, "room", "chat.internal").TLS},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: authority.Pool, CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP384},
	})
	pair := authority.Issue(t, "gateway", "gateway.internal")
	plain := newRoom(t, "plain", nil, false)
	_, port, _ := net.SplitHostPort(plain.addr())
	unencrypted2 := newH2CRoom(t)
	announced := gatetest.NewUpstream(t, func(u *gatetest.Upstream, c net.Conn, br *bufio.Reader, head string) {
		_, handshake, _ := strings.Cut(head, "\r\n")
		gatetest.EchoWebSocket(u, c, br, handshake)
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	behind := &announcedListener{Listener: ln, lines: make(chan string, 100)}
	announcedTLS := newTLSRoomOn(t, behind, &tls.Config{Certificates: []tls.Certificate{authority.Issue(t, "announced", "127.0.0.1").TLS}})

	trust := "tls_trust_pool file " + authority.File
	client := "tls_client_auth " + pair.CertFile + " " + pair.KeyFile
	g, tok := routes(t, map[string]string{
		"/tls":       transport("https://"+strict.addr(), trust, client, "tls_server_name {http.request.header.X-Where}", "tls_curves secp384r1"),
		"/no-client": transport("https://"+strict.addr(), trust, "tls_server_name chat.internal"),
		"/except":    transport(plain.addr(), "tls", "tls_except_ports "+port),
		"/local":     transport(plain.addr(), "local_address 127.0.0.9"),
		"/resolved":  transport("plain.invalid:"+port, "resolvers "+newResolver(t, "plain.invalid.")),
		"/announced": transport(announced.Addr, "proxy_protocol v1"),
		"/both":      transport("https://"+announcedTLS.addr(), trust, "proxy_protocol v1"),
		"/versions":  transport(plain.addr(), "versions 1.1 2"),
		"/h2c":       transport(unencrypted2.addr(), "versions h2c"),
	})

	c := gatetest.Dial(t, g.HTTP)
	c.Open(g.HTTP, "/tls/x", "Authorization: Bearer "+tok, "X-Where: chat.internal")
	c.Echo("hello")
	if state := strict.last().TLS; state == nil || state.ServerName != "chat.internal" || state.CurveID != tls.CurveP384 || len(state.PeerCertificates) == 0 {
		t.Errorf("the connection over TLS: %+v", state)
	}
	for name, more := range map[string]string{"/tls/x": "X-Where: chat.external", "/no-client/x": "X-Where: chat.internal"} {
		c := gatetest.Dial(t, g.HTTP)
		c.Send(gatetest.Handshake(g.HTTP, name, "Authorization: Bearer "+tok, more))
		if resp, body := c.Response(); resp.StatusCode != http.StatusBadGateway {
			t.Errorf("%s with %s: %s %s", name, more, resp.Status, body)
		}
	}
	g.WebSocket("/except/x", tok).Echo("hello")
	g.WebSocket("/versions/x", tok).Echo("hello")
	answers(t, g, "/h2c/x", tok, http.StatusBadGateway) // a handshake is one of HTTP/1.1
	if resp, _ := send(t, g, http.MethodGet, "/h2c/missing", tok, nil); resp.StatusCode != http.StatusOK {
		t.Errorf("a request in HTTP/2: %s", resp.Status)
	}
	g.WebSocket("/local/x", tok).Echo("hello")
	if from := plain.last().RemoteAddr; !strings.HasPrefix(from, "127.0.0.9:") {
		t.Errorf("with a local_address it came from %s", from)
	}
	g.WebSocket("/resolved/x", tok).Echo("hello")
	g.WebSocket("/announced/x", tok).Echo("hello")
	if head := announced.LastHead(t, 0); !strings.HasPrefix(head, "PROXY TCP4 127.0.0.1 ") {
		t.Errorf("it began with %.40q", head)
	}
	g.WebSocket("/both/x", tok).Echo("hello")
	if line := <-behind.lines; !strings.HasPrefix(line, "PROXY TCP4 127.0.0.1 ") {
		t.Errorf("it began with %.40q", line)
	}
}

// newH2CRoom starts a room that speaks HTTP/2 alone, without TLS.
func newH2CRoom(t testing.TB) *room {
	t.Helper()
	r := &room{name: "h2c", release: make(chan struct{})}
	r.Server = httptest.NewUnstartedServer(r)
	r.Config.Protocols = new(http.Protocols)
	r.Config.Protocols.SetUnencryptedHTTP2(true)
	r.Start()
	t.Cleanup(r.CloseClientConnections)
	t.Cleanup(r.Close)
	return r
}

// announcedListener takes the line of the PROXY protocol off each connection.
type announcedListener struct {
	net.Listener
	lines chan string
}

func (l *announcedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	var line strings.Builder
	for b := make([]byte, 1); !strings.HasSuffix(line.String(), "\r\n"); line.Write(b) {
		if _, err := c.Read(b); err != nil {
			return c, nil // whatever it was
		}
	}
	_ = c.SetReadDeadline(time.Time{})
	l.lines <- line.String()
	return c, nil
}

// newResolver answers queries for the IPv4 address of a name with 127.0.0.1, and knows no other.
func newResolver(t testing.TB, name string) string {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	go func() {
		b := make([]byte, 512)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(b[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			m.Response, m.Additionals = true, nil
			if q := m.Questions[0]; q.Name.String() != name {
				m.RCode = dnsmessage.RCodeNameError
			} else if q.Type == dnsmessage.TypeA {
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class}, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
				}}
			}
			if out, err := m.Pack(); err == nil {
				_, _ = pc.WriteTo(out, from)
			}
		}
	}()
	return pc.LocalAddr().String()
}

// TestRewrite: a handshake is rewritten as a request is, but stays a GET (RFC 6455, section 4.1).
func TestRewrite(t *testing.T) {
	t.Parallel()
	r := newRoom(t, "one", nil, false)
	g, tok := gate(t, r.addr()+` {
		rewrite /elsewhere?{query}&b=2
		method POST
	}`)
	g.WebSocket("/somewhere?a=1", tok).Echo("hello")
	if up := r.last(); up.Method != http.MethodGet || up.RequestURI != "/elsewhere?a=1&b=2" {
		t.Errorf("the upstream got %s %s", up.Method, up.RequestURI)
	}
	resp, _ := send(t, g, http.MethodGet, "/somewhere?a=1", tok, nil)
	if up := r.last(); resp.StatusCode != http.StatusOK || up.Method != http.MethodPost || up.RequestURI != "/elsewhere?a=1&b=2" {
		t.Errorf("%s: the upstream got %s %s", resp.Status, up.Method, up.RequestURI)
	}
}

// TestTrustedProxies: what the handler's own trusted proxies say of the client goes on.
func TestTrustedProxies(t *testing.T) {
	t.Parallel()
	r := newRoom(t, "one", nil, false)
	g, tok := routes(t, map[string]string{
		"/trusted": r.addr() + " {\n\t\ttrusted_proxies 127.0.0.1/32\n\t}",
		"/strange": r.addr() + " {\n\t\ttrusted_proxies 192.0.2.0/24\n\t}",
	})
	for path, want := range map[string]string{"/trusted/x": "192.0.2.1, 127.0.0.1", "/strange/x": "127.0.0.1"} {
		c := gatetest.Dial(t, g.HTTP)
		c.Open(g.HTTP, path, "Authorization: Bearer "+tok, "X-Forwarded-For: 192.0.2.1")
		c.Echo("hello")
		if got := strings.Join(r.last().Header.Values("X-Forwarded-For"), "|"); got != want {
			t.Errorf("%s: X-Forwarded-For is %q, want %q", path, got, want)
		}
	}
}

// TestUnhealthyAnswers: passive health looks at what becomes of handshakes, too.
func TestUnhealthyAnswers(t *testing.T) {
	t.Parallel()
	ill := gatetest.NewUpstream(t, func(_ *gatetest.Upstream, c net.Conn, br *bufio.Reader, _ string) {
		_, _ = io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		_, _ = io.Copy(io.Discard, br)
	})
	slow := gatetest.NewUpstream(t, func(_ *gatetest.Upstream, c net.Conn, br *bufio.Reader, head string) {
		time.Sleep(4 * time.Second)
		_, _ = io.WriteString(c, gatetest.Accept(head))
		_, _ = io.Copy(io.Discard, br)
	})
	r := newRoom(t, "live", nil, false)
	health := " {\n\t\tlb_policy first\n\t\tfail_duration 10m\n\t\t"
	g, tok := routes(t, map[string]string{
		"/status":  ill.Addr + " " + r.addr() + health + "unhealthy_status 503\n\t}",
		"/latency": slow.Addr + " " + r.addr() + health + "unhealthy_latency 3s\n\t}",
	})
	answers(t, g, "/status/x", tok, http.StatusServiceUnavailable)
	answers(t, g, "/latency/x", tok, http.StatusSwitchingProtocols)
	for _, path := range []string{"/status/x", "/latency/x"} {
		g.WebSocket(path, tok).Echo("hello")
	}
	if n := len(ill.Heads()) + len(slow.Heads()); n != 2 {
		t.Errorf("the unhealthy ones were asked %d times", n)
	}
}
