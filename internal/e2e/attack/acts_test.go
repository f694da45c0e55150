package attack

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/streamtest"
)

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
