package attack

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/streamtest"
)

// pool is a gateway with passive health checks and retries in front of two upstreams, so that whatever is taken for a
// failure of an upstream is seen.
type pool struct {
	*gatetest.Gateway
	first, second *recorder
	silent        *gatetest.Upstream // takes connections and says nothing
	h2c           *http.Server       // speaks HTTP/2 and takes headers of 4 KiB
	token         string
}

const poolCaddyfile = `{
	{{GLOBAL}}
	chatgate {
		accounts sqlite
		sessions embedded
		registration open
		issuer https://chat.test
		hash {
			memory_kib 1024
			time 1
		}
	}
}

(passive) {
	anonymous allow
	lb_policy first
	lb_retries 3
	fail_duration 10m
	max_fails MAXFAILS
	unhealthy_status 4xx 5xx
	unhealthy_request_count 1000
}

http://, https://{{HTTPS}}, https:// {
	log
	tls internal
	chatgate_accounts rooms
	request_body /small/* {
		max_size 1KB
	}
	chatgate_proxy FIRST SECOND {
		import passive
	}
	chatgate_proxy /tls/* https://SILENT {
		import passive
		transport http {
			tls_insecure_skip_verify
		}
	}
	chatgate_proxy /h2c/* h2c://H2C {
		import passive
	}
	chatgate_proxy /late/* FIRST SECOND {
		import passive
		handshake_timeout 200ms
	}
	chatgate_proxy /slow/* FIRST SECOND {
		import passive
		transport http {
			read_timeout 200ms
		}
	}
	chatgate_proxy /fcgi/* FIRST SECOND {
		import passive
		transport fastcgi
	}
	chatgate_proxy /noted/* FIRST SECOND {
		import passive
		header_up X-Note {http.request.uri.query.note}
	}
}
`

func newPool(t *testing.T, maxFails int) *pool {
	p := &pool{first: newRecorder(t, answerPool), second: newRecorder(t, answerPool)}
	p.h2c = &http.Server{Protocols: new(http.Protocols), MaxHeaderBytes: 4096, ReadHeaderTimeout: timeout}
	p.h2c.Protocols.SetUnencryptedHTTP2(true)
	p.h2c.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.h2c.Addr = ln.Addr().String()
	go func() { _ = p.h2c.Serve(ln) }()
	t.Cleanup(func() { p.h2c.Close() })
	hang := make(chan struct{})
	p.silent = &gatetest.Upstream{Addr: acceptOnly(t, hang)}
	t.Cleanup(func() { close(hang) })
	file := strings.NewReplacer("FIRST", p.first.Addr, "SECOND", p.second.Addr, "SILENT", p.silent.Addr, "H2C", p.h2c.Addr, "MAXFAILS", fmt.Sprint(maxFails)).Replace(poolCaddyfile)
	p.Gateway = gatetest.Start(t, file, gatetest.Options{Env: []string{"GODEBUG=http2xconnect=1"}})
	p.Register("alice", password)
	p.token = p.Login("alice", password)
	gatetest.AwaitCertificate(t, p.HTTPS)
	return p
}

// acceptOnly listens, and keeps every connection without a word until hang is closed.
func acceptOnly(t *testing.T, hang chan struct{}) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				<-hang
				c.Close()
			}()
		}
	}()
	return ln.Addr().String()
}

// answerPool is an upstream that does as the path says.
func answerPool(c net.Conn, r *bufio.Reader, head string) {
	say := func(s string) { _, _ = io.WriteString(c, s) }
	good := gatetest.Accept(head)
	_, do, _ := strings.Cut(head, "do=")
	do, _, _ = strings.Cut(do, " ")
	switch do {
	case "protocol":
		say(gatetest.Accept(head, "Sec-WebSocket-Protocol: chat.v1"))
	case "two-protocols":
		say(gatetest.Accept(head, "Sec-WebSocket-Protocol: chat.v1", "Sec-WebSocket-Protocol: chat.v2"))
	case "extension":
		say(gatetest.Accept(head, "Sec-WebSocket-Extensions: permessage-deflate"))
	case "empty-fields":
		say(gatetest.Accept(head, "Sec-WebSocket-Protocol:", "Sec-WebSocket-Extensions:"))
	case "upload":
		if _, err := io.CopyN(io.Discard, r, 5); err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, r)
	case "early":
		say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		return // with unread data, so that the kernel resets the connection
	case "101":
		say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	case "other":
		say(strings.Replace(good, "Upgrade: websocket", "Upgrade: h2c", 1))
	case "no-connection":
		say(strings.Replace(good, "Connection: Upgrade\r\n", "", 1))
	case "accept":
		say(gatetest.Accept("x\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="))
	case "hangup":
	case "nonsense":
		say("SSH-2.0-OpenSSH\r\n\r\n")
	case "large":
		say(strings.TrimSuffix(good, "\r\n") + strings.Repeat("X-Filler: "+strings.Repeat("x", 1000)+"\r\n", 70) + "\r\n")
	case "wait":
		_, _ = io.Copy(io.Discard, r)
	default:
		echo(c, r, head)
		return
	}
	_ = c.(*net.TCPConn).CloseWrite()
}

// fails returns how often each upstream is thought to have failed.
func (p *pool) fails(t testing.TB) map[string]int {
	t.Helper()
	resp, err := http.Get("http://" + p.Admin + "/reverse_proxy/upstreams")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var all []struct {
		Address string
		Fails   int
	}
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		t.Fatal(err)
	}
	out := make(map[string]int)
	for _, u := range all {
		out[u.Address] = u.Fails
	}
	for _, addr := range []string{p.first.Addr, p.second.Addr, p.silent.Addr, p.h2c.Addr} {
		if _, ok := out[addr]; !ok {
			t.Fatalf("Caddy does not tell of %s: %v", addr, out)
		}
	}
	return out
}

// handled waits until a request whose target has the mark in it is over, by the access log, and returns its status.
func (p *pool) handled(t testing.TB, mark string) int {
	t.Helper()
	var entry struct {
		Msg     string
		Status  int
		Request struct{ URI string }
	}
	gatetest.Eventually(t, "the end of a request for "+mark, func() bool {
		for line := range strings.Lines(p.Log()) {
			if strings.Contains(line, mark) && json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "handled request" && strings.Contains(entry.Request.URI, mark) {
				return true
			}
		}
		return false
	})
	return entry.Status
}

// act is what one client does.
type act struct {
	name string
	do   func(t *testing.T, p *pool, mark string) (status int) // 0: the client does not stay to see it
	want []int                                                 // statuses
}

func h1(request func(p *pool, mark string) string) func(*testing.T, *pool, string) int {
	return func(t *testing.T, p *pool, mark string) int {
		c := gatetest.Dial(t, p.HTTP)
		c.Send(request(p, mark))
		resp, _ := c.Response()
		return resp.StatusCode
	}
}

// uploading sends a body that has no end, a piece now and then.
func uploading(method, path string, every time.Duration) func(*testing.T, *pool, string) int {
	return func(t *testing.T, p *pool, mark string) int {
		c := gatetest.Dial(t, p.HTTP)
		c.Send(request(method, strings.Replace(path, "MARK", mark, 1), p.HTTP, "Content-Length: 1000000000"))
		go func() {
			piece := strings.Repeat("x", 1000)
			for _, err := io.WriteString(c.Conn, piece); err == nil; _, err = io.WriteString(c.Conn, piece) {
				time.Sleep(every)
			}
		}()
		resp, _ := c.Response()
		return resp.StatusCode
	}
}

// breakOff sends the beginning of a request and hangs up, once an upstream has it or, for silent, at least a connection.
func breakOff(head string) func(*testing.T, *pool, string) int {
	return func(t *testing.T, p *pool, mark string) int {
		c := gatetest.Dial(t, p.HTTP)
		c.Send(strings.NewReplacer("HOST", p.HTTP, "MARK", mark, "TOKEN", p.token).Replace(head))
		p.arrived(t, mark)
		c.Close()
		return 0
	}
}

// arrived waits for a request at an upstream.
func (p *pool) arrived(t testing.TB, mark string) {
	t.Helper()
	gatetest.Eventually(t, "a request at an upstream", func() bool { return p.seen(mark) > 0 })
}

// seen returns how many requests the upstreams got with a mark.
func (p *pool) seen(mark string) (n int) {
	for _, r := range []*recorder{p.first, p.second} {
		r.mu.Lock()
		for _, v := range r.seen {
			if strings.Contains(v.head, mark) {
				n++
			}
		}
		r.mu.Unlock()
	}
	return n
}

func h2get(method, path string, more ...string) func(*testing.T, *pool, string) int {
	return func(t *testing.T, p *pool, mark string) int {
		end := func(fr *http2.Framer) { _ = fr.WriteData(1, true, nil) }
		return askH2(t, p.Gateway, end, slices.Concat([]string{":method", method, ":authority", p.HTTPS, ":scheme", "https", ":path", strings.Replace(path, "MARK", mark, 1)}, more)...).status
	}
}

func h2upload(then func(*http2.Framer)) func(*testing.T, *pool, string) int {
	return func(t *testing.T, p *pool, mark string) int {
		return askH2(t, p.Gateway, then, ":method", "POST", ":authority", p.HTTPS, ":scheme", "https", ":path", "/"+mark+"?do=upload", "content-length", "100").status
	}
}

func stream(open connect, path string, fields ...string) func(*testing.T, *pool, string) int {
	return func(t *testing.T, p *pool, mark string) int {
		return open(t, p.Gateway, "websocket", strings.Replace(path, "MARK", mark, 1), append([]string{"sec-websocket-version", "13"}, fields...)...).status
	}
}

func h3get(rawQuery string) func(*testing.T, *pool, string) int {
	return func(t *testing.T, p *pool, mark string) int {
		u := &url.URL{Scheme: "https", Host: p.HTTPS, Path: "/" + mark, RawQuery: rawQuery}
		return askH3(t, p.Gateway, &http.Request{Method: http.MethodGet, Host: p.HTTPS, URL: u, Header: make(http.Header)}).status
	}
}

// h3upload announces 100 bytes and sends 10, and then the end of the stream or the error that then returns.
func h3upload(then func(t *testing.T, p *pool, mark string) error) func(*testing.T, *pool, string) int {
	return func(t *testing.T, p *pool, mark string) int {
		body := io.MultiReader(strings.NewReader("0123456789"), readerFunc(func() error { return then(t, p, mark) }))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+p.HTTPS+"/"+mark+"?do=upload", body)
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = 100
		resp, err := streamtest.DialHTTP3(t, p.HTTPS).RoundTrip(r)
		if err != nil {
			return 0
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
}

type readerFunc func() error

func (f readerFunc) Read([]byte) (int, error) { return 0, f() }

const (
	key2    = "AAAAAAAAAAAAAAAAAAAAAA=="
	hostile = "\xc3\xa9" // a letter that is not ASCII
	reset   = -1         // the status of a stream that was reset, by the server below Caddy
)

var clientActs = []act{
	// Handshakes that an upstream would not answer well.
	{"no subprotocol before an upstream that always answers one", h1(func(p *pool, mark string) string { return gatetest.Handshake(p.HTTP, "/"+mark+"?do=protocol") }), []int{502}},
	{"another subprotocol", h1(func(p *pool, mark string) string {
		return gatetest.Handshake(p.HTTP, "/"+mark+"?do=protocol", protocols("chat.v0"))
	}), []int{502}},
	{"two subprotocols before an upstream that answers with what was offered", h1(func(p *pool, mark string) string {
		return gatetest.Handshake(p.HTTP, "/"+mark+"?do=two-protocols", protocols("chat.v1", "chat.v2"))
	}), []int{502}},
	{"nothing but the token", h1(func(p *pool, mark string) string {
		return gatetest.Handshake(p.HTTP, "/"+mark+"?do=protocol", protocols(p.token))
	}), []int{502}},
	{"no extension before an upstream that always answers one", h1(func(p *pool, mark string) string { return gatetest.Handshake(p.HTTP, "/"+mark+"?do=extension") }), []int{502}},
	{"no handshake where the upstream expects one", h1(func(p *pool, mark string) string {
		return request("GET", "/"+mark+"?do=101", p.HTTP)
	}), []int{502}},
	// What was never a request.
	{"a host that is not ASCII", h1(func(p *pool, mark string) string {
		return request("GET", "http://%c3%a9/"+mark, p.HTTP)
	}), []int{400}},
	{"a handshake with a host that is not ASCII", h1(func(p *pool, mark string) string {
		return gatetest.Handshake(p.HTTP, "http://%c3%a9/"+mark)
	}), []int{400}},
	{"a query with a #", h1(func(p *pool, mark string) string { return request("GET", "/"+mark+"?b#c", p.HTTP) }), []int{400}},
	{"a path with a #", h1(func(p *pool, mark string) string { return request("GET", "/"+mark+"#c", p.HTTP) }), []int{400}},
	{"a query that is not ASCII", h1(func(p *pool, mark string) string {
		return request("GET", "/"+mark+"?"+hostile, p.HTTP)
	}), []int{400}},
	{"HTTP/2, a query with a space", h2get("GET", "/MARK?x=1 HTTP/1.0"), []int{400}},
	{"HTTP/2, a path with a space", h2get("GET", "/MARK HTTP/1.0"), []int{400}},
	{"HTTP/2, a query with a #", h2get("GET", "/MARK?b#c"), []int{400}},
	{"HTTP/2, a clean GET", h2get("GET", "/MARK", "x-before", "x"), []int{200}}, // the control
	{"HTTP/2, :protocol of a GET", func(t *testing.T, p *pool, mark string) int {
		end := func(fr *http2.Framer) { _ = fr.WriteData(1, true, nil) }
		return askH2(t, p.Gateway, end, ":method", "GET", ":authority", p.HTTPS, ":scheme", "https", ":path", "/"+mark, ":protocol", "websocket").status
	}, []int{400}},
	{"HTTP/2, a method that is none", h2get("GE T", "/MARK"), []int{400}},
	{"HTTP/2, a host with a space", func(t *testing.T, p *pool, mark string) int {
		end := func(fr *http2.Framer) { _ = fr.WriteData(1, true, nil) }
		return askH2(t, p.Gateway, end, ":method", "GET", ":authority", "a b", ":scheme", "https", ":path", "/"+mark).status
	}, []int{reset}},
	{"HTTP/2 stream, a host with a space", func(t *testing.T, p *pool, mark string) int {
		return askH2(t, p.Gateway, nil, ":method", "CONNECT", ":authority", "a b", ":protocol", "websocket", ":scheme", "https", ":path", "/"+mark, "sec-websocket-version", "13").status
	}, []int{reset}},
	{"HTTP/2 stream, a query with a space", stream(connectH2, "/MARK?x=1 HTTP/1.0"), []int{400}},
	{"HTTP/2 stream, a query that is not ASCII", stream(connectH2, "/MARK?"+hostile), []int{400}},
	{"HTTP/2 stream, two keys", stream(connectH2, "/MARK", "sec-websocket-key", gatetest.Key, "sec-websocket-key", key2), []int{200}},
	{"HTTP/2 stream, a key that is none", stream(connectH2, "/MARK", "sec-websocket-key", "x"), []int{200}},
	{"HTTP/3 stream, a query with a space", stream(connectH3, "/MARK?x=1 HTTP/1.0"), []int{400}},
	{"HTTP/3 stream, two keys", stream(connectH3, "/MARK", "sec-websocket-key", gatetest.Key, "sec-websocket-key", key2), []int{200}},
	{"HTTP/3 stream, an empty key", stream(connectH3, "/MARK", "sec-websocket-key", ""), []int{200}},
	{"HTTP/3, a query with a space", h3get("x=1 HTTP/1.0"), []int{400}},
	{"HTTP/3, a query with a #", h3get("b#c"), []int{400}},
	{"a clean request of an upstream of HTTP/2", h1(func(p *pool, mark string) string { return request("GET", "/h2c/"+mark, p.HTTP) }), []int{200}}, // the control
	{"a header that is larger than an upstream of HTTP/2 takes", h1(func(p *pool, mark string) string {
		return request("GET", "/h2c/"+mark, p.HTTP, "X-Filler: "+strings.Repeat("x", 8<<10))
	}), []int{431}},
	// Bodies that break off.
	{"a body shorter than its length", func(t *testing.T, p *pool, mark string) int {
		c := gatetest.Dial(t, p.HTTP)
		c.Send(request("POST", "/"+mark+"?do=upload", p.HTTP, "Content-Length: 100") + "0123456789")
		_ = c.Conn.(*net.TCPConn).CloseWrite()
		resp, _ := c.Response()
		return resp.StatusCode
	}, []int{499}}, // net/http takes the end of what the client sends for its end
	{"a client that leaves within its body", breakOff("POST /MARK?do=upload HTTP/1.1\r\nHost: HOST\r\nContent-Length: 100\r\n\r\n0123456789"), []int{400, 499}},
	{"a client that leaves within its chunks", breakOff("POST /MARK?do=upload HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n"), []int{400, 499}},
	{"a GET that leaves within its body", breakOff("GET /MARK?do=upload HTTP/1.1\r\nHost: HOST\r\nContent-Length: 100\r\n\r\n0123456789"), []int{400, 499}},
	{"chunks that are none", h1(func(p *pool, mark string) string {
		return request("POST", "/"+mark+"?do=upload", p.HTTP, "Transfer-Encoding: chunked") + "a\r\n0123456789\r\nzz\r\n"
	}), []int{400}},
	{"a body over the limit of the site", h1(func(p *pool, mark string) string {
		return request("POST", "/small/"+mark+"?do=upload", p.HTTP, "Transfer-Encoding: chunked") + "800\r\n" + strings.Repeat("x", 2048) + "\r\n0\r\n\r\n"
	}), []int{413}},
	{"HTTP/2, a body shorter than its length", h2upload(func(fr *http2.Framer) { _ = fr.WriteData(1, true, []byte("0123456789")) }), []int{400}},
	{"HTTP/2, a body that is broken off", func(t *testing.T, p *pool, mark string) int {
		fr := sendH2(t, p.Gateway, ":method", "POST", ":authority", p.HTTPS, ":scheme", "https", ":path", "/"+mark+"?do=upload", "content-length", "100")
		_ = fr.WriteData(1, false, []byte("0123456789"))
		p.arrived(t, mark)
		_ = fr.WriteRSTStream(1, http2.ErrCodeCancel)
		return 0
	}, []int{400, 499}},
	{"HTTP/3, a body shorter than its length", h3upload(func(*testing.T, *pool, string) error { return io.EOF }), []int{400}},
	{"HTTP/3, a body that is broken off", h3upload(func(t *testing.T, p *pool, mark string) error {
		p.arrived(t, mark)
		return errors.New("broken off")
	}), []int{400, 499}},
	{"a body that takes longer than an upstream is waited for", uploading("POST", "/slow/MARK?do=upload", 20*time.Millisecond), []int{502}},
	{"a body that is longer than the upstream reads", uploading("GET", "/MARK?do=early", 0), []int{200, 502}},
	// Paths that are none of a WebSocket's.
	{"a handshake with what the upstream answers late", h1(func(p *pool, mark string) string {
		return gatetest.Handshake(p.HTTP, "/late/"+mark+"?do=wait")
	}), []int{504}},
	{"a handshake with an upstream of HTTP/2 alone", h1(func(p *pool, mark string) string { return gatetest.Handshake(p.HTTP, "/h2c/"+mark) }), []int{502}},
	{"a handshake with FastCGI", h1(func(p *pool, mark string) string { return gatetest.Handshake(p.HTTP, "/fcgi/"+mark) }), []int{501}},
	// Clients that do not wait.
	{"a handshake whose client leaves", breakOff(gatetest.Handshake("HOST", "/MARK?do=wait")), []int{499}},
	{"a request whose client leaves", breakOff(request("GET", "/MARK?do=wait", "HOST")), []int{499}},
	// What the configuration makes of it.
	{"a line break in what becomes a header", h1(func(p *pool, mark string) string {
		return request("GET", "/noted/"+mark+"?note=a%0d%0ab", p.HTTP)
	}), []int{400}},
}

// What a client does is never an upstream's failure: it is not counted, and not tried at another upstream.
func TestClientsFaultIsNoUpstreams(t *testing.T) {
	p := newPool(t, 1000)
	for i, a := range clientActs {
		t.Run(a.name, func(t *testing.T) {
			mark := fmt.Sprintf("act-%d-", i)
			before := p.fails(t)
			status := a.do(t, p, mark)
			if status != http.StatusOK && status != reset { // of a stream that is open nothing is logged
				if logged := p.handled(t, mark); status == 0 {
					status = logged
				}
			}
			if !slices.Contains(a.want, status) {
				t.Errorf("answered %d, want %v", status, a.want)
			}
			for addr, n := range p.fails(t) {
				if n != before[addr] {
					t.Errorf("%d failures of the upstream were counted", n-before[addr])
				}
			}
			if n := p.seen(mark); n > 1 {
				t.Errorf("it was sent upstream %d times", n)
			}
		})
	}
}

// A client that leaves while its upstream is dialled has not found it dead.
func TestClientLeavesWithinDial(t *testing.T) {
	p := newPool(t, 1000)
	for i, upgrade := range []bool{true, false} {
		mark := fmt.Sprintf("dial-%d-", i)
		before := p.fails(t)
		c := gatetest.Dial(t, p.HTTP)
		if upgrade {
			c.Send(gatetest.Handshake(p.HTTP, "/tls/"+mark))
		} else {
			c.Send(request("GET", "/tls/"+mark, p.HTTP))
		}
		gatetest.Eventually(t, "a dial", func() bool { return strings.Contains(p.Goroutines(), "HandshakeContext") })
		c.Close()
		if got := p.handled(t, mark); got != 499 {
			t.Errorf("upgrade %v: %d, want 499", upgrade, got)
		}
		if n := p.fails(t)[p.silent.Addr] - before[p.silent.Addr]; n != 0 {
			t.Errorf("upgrade %v: %d failures of the upstream were counted", upgrade, n)
		}
	}
}

// What an upstream does is counted, and tried at the other: or the test above would hold for a gateway that counts nothing.
func TestUpstreamsFaultIsCounted(t *testing.T) {
	p := newPool(t, 1000)
	for i, tc := range []struct {
		do      string
		upgrade bool
	}{
		{"other", true},
		{"no-connection", true},
		{"accept", true},
		{"hangup", true},
		{"nonsense", true},
		{"large", true},
		{"hangup", false},
		{"nonsense", false},
	} {
		t.Run(fmt.Sprintf("%s, upgrade %v", tc.do, tc.upgrade), func(t *testing.T) {
			mark := fmt.Sprintf("fault-%d-", i)
			before := p.fails(t)
			c := gatetest.Dial(t, p.HTTP)
			if tc.upgrade {
				c.Send(gatetest.Handshake(p.HTTP, "/"+mark+"?do="+tc.do))
			} else {
				c.Send(request("GET", "/"+mark+"?do="+tc.do, p.HTTP))
			}
			if resp, body := c.Response(); resp.StatusCode != http.StatusBadGateway {
				t.Errorf("%s %s", resp.Status, body)
			}
			after := p.fails(t)
			if n := after[p.first.Addr] + after[p.second.Addr] - before[p.first.Addr] - before[p.second.Addr]; n != 4 || p.seen(mark) < 4 {
				t.Errorf("%d failures of %d requests were counted, want 4", n, p.seen(mark))
			}
		})
	}
}

// The whole of it, as others see it: one visitor does everything, and the chat is there for the next.
func TestOneVisitorDoesNotEndTheChat(t *testing.T) {
	p := newPool(t, 1)
	var wg sync.WaitGroup
	for i, a := range clientActs {
		wg.Go(func() {
			mark := fmt.Sprintf("visitor-%d-", i)
			if status := a.do(t, p, mark); status != http.StatusOK && status != reset {
				p.handled(t, mark)
			}
		})
	}
	wg.Wait()
	c := gatetest.Dial(t, p.HTTP)
	_ = c.SetDeadline(time.Now().Add(timeout))
	c.Open(p.HTTP, "/x")
	c.Echo("hello")
	resp, body := func() (*http.Response, string) {
		c := gatetest.Dial(t, p.HTTP)
		c.Send(request("GET", "/y", p.HTTP))
		return c.Response()
	}()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("a page: %s %s", resp.Status, body)
	}
}

// A field that is empty is none.
func TestUpstreamsEmptyFields(t *testing.T) {
	p := newPool(t, 1000)
	for _, offer := range [][]string{nil, {protocols("chat.v1")}, {protocols(p.token)}} {
		c := gatetest.Dial(t, p.HTTP)
		resp := c.Open(p.HTTP, "/x?do=empty-fields", offer...)
		want := ""
		if len(offer) > 0 && strings.Contains(offer[0], p.token) {
			want = p.token // since a browser insists on an answer
		}
		if got := resp.Header.Get("Sec-WebSocket-Protocol"); got != want {
			t.Errorf("offered %.40q: answered %.20q", offer, got)
		}
		if got, ok := resp.Header["Sec-Websocket-Extensions"]; ok {
			t.Errorf("extensions %q", got)
		}
	}
}
