package chatroom

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	testKey    = "dGhlIHNhbXBsZSBub25jZQ==" // of RFC 6455, section 1.3
	testAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
	good101    = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + testAccept + "\r\n"
)

func askFor(target string) *http.Request {
	u, err := url.Parse(target)
	if err != nil {
		panic(err)
	}
	return &http.Request{Method: http.MethodGet, URL: u, Host: "chat.example", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{
		"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "User-Agent": {""},
		"Sec-WebSocket-Key": {testKey}, "Sec-WebSocket-Version": {"13"},
	}}
}

// handshake asks an upstream over conn, which is closed where there is nothing to ask.
func handshake(ctx context.Context, conn net.Conn, r *http.Request, timeout time.Duration) (Answer, error) {
	o, ref := NewOpening(r)
	if ref != nil {
		_ = conn.Close()
		return Answer{}, ref
	}
	return o.Ask(ctx, conn, Patience{Timeout: timeout})
}

// script plays an upstream: it takes one request, says what it has to, and waits for the end. It returns our end, what
// it was asked, and a channel that is closed when our end is.
func script(t *testing.T, say string) (net.Conn, <-chan string, <-chan struct{}) {
	t.Helper()
	peer, ours := connect(t)
	asked, closed := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(closed)
		br := bufio.NewReader(peer)
		var req strings.Builder
		for !strings.HasSuffix(req.String(), "\r\n\r\n") {
			line, err := br.ReadString('\n')
			if err != nil {
				return
			}
			req.WriteString(line)
		}
		asked <- req.String()
		_, _ = io.WriteString(peer, say)
		_, _ = io.Copy(io.Discard, br)
	}()
	return ours, asked, closed
}

func TestHandshakeBytes(t *testing.T) {
	conn, asked, _ := script(t, good101+"\r\n")
	r := askFor("http://10.0.0.1:9000/rooms/a%20b?x=1&y")
	r.Header["X-Twice"] = []string{"a", "b"}
	if _, err := handshake(t.Context(), conn, r, patience); err != nil {
		t.Fatal(err)
	}
	want := "GET /rooms/a%20b?x=1&y HTTP/1.1\r\nHost: chat.example\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " + testKey +
		"\r\nSec-WebSocket-Version: 13\r\nUpgrade: websocket\r\nX-Twice: a\r\nX-Twice: b\r\n\r\n"
	if got := <-asked; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestHandshakeRequest(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*http.Request)
		want   []string
		never  []string
	}{
		"a user agent":              {func(r *http.Request) { r.Header.Set("User-Agent", "x/1") }, []string{"\r\nUser-Agent: x/1\r\n"}, nil},
		"the host of the URL":       {func(r *http.Request) { r.Host = "" }, []string{"\r\nHost: 10.0.0.1\r\n"}, nil},
		"a Host in the map":         {func(r *http.Request) { r.Header["Host"] = []string{"evil"} }, []string{"\r\nHost: chat.example\r\n"}, []string{"evil"}},
		"CR LF in a value":          {func(r *http.Request) { r.Header["X-Name"] = []string{"a\r\nX-Gw-User: admin\r\n\r\nGET /"} }, nil, []string{"\nX-Gw-User", "\nGET"}},
		"CR LF in a name":           {func(r *http.Request) { r.Header["X-A: b\r\nX-Gw-User"] = []string{"admin"} }, nil, []string{"admin"}},
		"HTTP/2's own header":       {func(r *http.Request) { r.Header[":protocol"] = []string{"websocket"} }, nil, []string{":protocol"}},
		"a body that is not there":  {func(r *http.Request) { r.Header["Content-Length"] = []string{"1000"} }, nil, []string{"1000"}},
		"chunks that are not there": {func(r *http.Request) { r.Header["Transfer-Encoding"] = []string{"chunked"} }, nil, []string{"chunked"}},
		"a key in Go's own spelling": {func(r *http.Request) {
			delete(r.Header, "Sec-WebSocket-Key")
			r.Header.Set("Sec-WebSocket-Key", testKey)
		}, []string{"\r\nSec-Websocket-Key: " + testKey}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			conn, asked, _ := script(t, good101+"\r\n")
			r := askFor("http://10.0.0.1/ws")
			tc.change(r)
			if _, err := handshake(t.Context(), conn, r, patience); err != nil {
				t.Fatal(err)
			}
			got := <-asked
			for _, w := range tc.want {
				if !strings.Contains(got, w) {
					t.Errorf("no %q in\n%s", w, got)
				}
			}
			for _, n := range tc.never {
				if strings.Contains(got, n) {
					t.Errorf("%q in\n%s", n, got)
				}
			}
		})
	}
}

// TestHandshakeNotSent holds that nothing is written where the request cannot be trusted to be one.
func TestHandshakeNotSent(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"no key":               func(r *http.Request) { delete(r.Header, "Sec-WebSocket-Key") },
		"two keys":             func(r *http.Request) { r.Header["Sec-WebSocket-Key"] = []string{testKey, testKey} },
		"bad subprotocols":     func(r *http.Request) { r.Header["Sec-WebSocket-Protocol"] = []string{"a b"} },
		"CR LF in the host":    func(r *http.Request) { r.Host = "a\r\nX-Gw-User: admin" },
		"a space in the host":  func(r *http.Request) { r.Host = "a b" },
		"CR LF in the query":   func(r *http.Request) { r.URL.RawQuery = "a\r\nX-Gw-User: admin" },
		"a space in the query": func(r *http.Request) { r.URL.RawQuery = "a HTTP/1.0" },
		"CR LF in what is no path": func(r *http.Request) {
			r.URL = &url.URL{Scheme: "http", Opaque: "//a/b\r\nX-Gw-User: admin"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			conn, asked, closed := script(t, good101+"\r\n")
			r := askFor("http://10.0.0.1/ws")
			change(r)
			if a, err := handshake(t.Context(), conn, r, patience); err == nil || a.Conn != nil || a.Response != nil {
				t.Error(a, err)
			}
			within(t, "the end of the connection", closed)
			select {
			case got := <-asked:
				t.Errorf("sent %q", got)
			default:
			}
		})
	}
}

func TestHandshakeAnswers(t *testing.T) {
	const (
		status  = "HTTP/1.1 101 Switching Protocols\r\n"
		upgrade = "Upgrade: websocket\r\n"
		conn    = "Connection: Upgrade\r\n"
		accept  = "Sec-WebSocket-Accept: " + testAccept + "\r\n"
	)
	filler := "X-Filler: " + strings.Repeat("x", 1000) + "\r\n"
	for _, tc := range []struct {
		name, say string
		err       string // a part of it; empty: all is well
	}{
		{"good", status + upgrade + conn + accept + "\r\n", ""},
		{"in other letters", status + "uPGRADE: WebSocket\r\nCONNECTION: keep-alive, upgrade\r\n" + accept + "\r\n", ""},
		{"with an offered protocol", status + upgrade + conn + accept + "Sec-WebSocket-Protocol: chat2\r\n\r\n", ""},
		{"after a 100 and a 103", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + status + upgrade + conn + accept + "\r\n", ""},
		{"with 60 KiB of header", status + upgrade + conn + accept + strings.Repeat(filler, 60) + "\r\n", ""},
		{"no Upgrade", status + conn + accept + "\r\n", "other than websocket"},
		{"another Upgrade", status + "Upgrade: h2c\r\n" + conn + accept + "\r\n", "other than websocket"},
		{"two Upgrades", status + upgrade + upgrade + conn + accept + "\r\n", "other than websocket"},
		{"a list of Upgrades", status + "Upgrade: websocket, h2c\r\n" + conn + accept + "\r\n", "other than websocket"},
		{"no Connection", status + upgrade + accept + "\r\n", "Connection"},
		{"another Connection", status + upgrade + "Connection: close\r\n" + accept + "\r\n", "Connection"},
		{"no Accept", status + upgrade + conn + "\r\n", "Accept"},
		{"Accept of another key", status + upgrade + conn + "Sec-WebSocket-Accept: " + AcceptKey("x") + "\r\n\r\n", "Accept"},
		{"two Accepts", status + upgrade + conn + accept + accept + "\r\n", "Accept"},
		{"a protocol that was not offered", status + upgrade + conn + accept + "Sec-WebSocket-Protocol: evil\r\n\r\n", "not offered"},
		{"two protocols", status + upgrade + conn + accept + "Sec-WebSocket-Protocol: chat1\r\nSec-WebSocket-Protocol: chat2\r\n\r\n", "not offered"},
		{"a list of protocols", status + upgrade + conn + accept + "Sec-WebSocket-Protocol: chat1, chat2\r\n\r\n", "not offered"},
		{"an empty protocol", status + upgrade + conn + accept + "Sec-WebSocket-Protocol:\r\n\r\n", ""},
		{"an empty protocol before an offered one", status + upgrade + conn + accept + "Sec-WebSocket-Protocol:\r\nSec-WebSocket-Protocol: chat2\r\n\r\n", ""},
		{"an empty extension", status + upgrade + conn + accept + "Sec-WebSocket-Extensions: \r\n\r\n", ""},
		{"an empty list of extensions", status + upgrade + conn + accept + "Sec-WebSocket-Extensions: ,\r\nSec-WebSocket-Extensions:\r\n\r\n", ""},
		{"an extension that was not offered", status + upgrade + conn + accept + "Sec-WebSocket-Extensions:\r\nSec-WebSocket-Extensions: x\r\n\r\n", "an extension that was not offered"},
		{"a header over 64 KiB", status + upgrade + conn + accept + strings.Repeat(filler, 66) + "\r\n", "reading"},
		{"1xx without end", strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 3000), "reading"},
		{"no HTTP", "SSH-2.0-OpenSSH\r\n\r\n", "reading"},
		{"half a header", status + upgrade, "reading"}, // and then the end, see below
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, _, closed := script(t, tc.say)
			timeout := patience
			if tc.name == "half a header" {
				timeout = 100 * time.Millisecond
			}
			r := askFor("http://10.0.0.1/ws")
			r.Header["Sec-WebSocket-Protocol"] = []string{"chat1, chat2"}
			a, err := handshake(t.Context(), c, r, timeout)
			if tc.err == "" {
				if err != nil || a.Conn != c || len(a.Early) != 0 || a.Response.StatusCode != 101 {
					t.Fatalf("%+v, %v", a, err)
				}
				_ = a.Conn.Close()
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%+v, %v", a, err)
			}
			// What hangs on the client's offer is no failure of the upstream, all else is.
			if _, refused := errors.AsType[*Refusal](err); refused != strings.Contains(tc.err, "offered") {
				t.Errorf("%v is a refusal: %v", err, refused)
			}
			within(t, "the end of the connection", closed)
		})
	}
}

// What is passed back to the client is one line of each, whatever lines the upstream made of it.
func TestHandshakeFoldsLists(t *testing.T) {
	conn, _, _ := script(t, good101+"Sec-WebSocket-Protocol:\r\nSec-WebSocket-Protocol: chat2\r\n"+
		"Sec-WebSocket-Extensions: x\r\nSec-WebSocket-Extensions:\r\nSec-WebSocket-Extensions: y; a=1\r\n\r\n")
	r := askFor("http://10.0.0.1/ws")
	r.Header["Sec-WebSocket-Protocol"] = []string{"chat1, chat2"}
	r.Header["Sec-WebSocket-Extensions"] = []string{"x, y"}
	a, err := handshake(t.Context(), conn, r, patience)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"Sec-Websocket-Protocol": "chat2", "Sec-Websocket-Extensions": "x, y; a=1"} {
		if got := a.Response.Header[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// An upstream may choose from what was offered, and nothing else. Extensions are compared by their names alone.
func TestHandshakeExtensions(t *testing.T) {
	for _, tc := range []struct {
		offered, chosen string
		ok              bool
	}{
		{"permessage-deflate", "permessage-deflate", true},
		{"permessage-deflate; client_max_window_bits", "permessage-deflate; server_no_context_takeover", true},
		{"x-webkit-deflate-frame, permessage-deflate;client_max_window_bits=\"15\"", "permessage-deflate;client_max_window_bits=15", true},
		{"x-webkit-deflate-frame,permessage-deflate", "permessage-deflate, x-webkit-deflate-frame", true},
		{"Permessage-Deflate", "permessage-deflate", true},
		{"x;a=\"b\\\",c\", y", ", y,,x ;a=1,", true},
		{"x-webkit-deflate-frame", "permessage-deflate", false},
		{"permessage-deflate", "permessage-deflate, x-webkit-deflate-frame", false},
		{"permessage-deflate", "permessage-deflate-2", false},
		{"permessage-deflate-2", "permessage-deflate", false},
		{"x; permessage-deflate", "permessage-deflate", false},
		{"x; a=\"b, permessage-deflate\"", "permessage-deflate", false},
		{"x; a=\", permessage-deflate", "permessage-deflate", false},
		{"x, y", "x; a=\"1, y", false},
		{"x, ;y", ";y", false},
		{"", "x", false},
	} {
		conn, _, closed := script(t, good101+"Sec-WebSocket-Extensions: "+tc.chosen+"\r\n\r\n")
		r := askFor("http://10.0.0.1/ws")
		r.Header["Sec-WebSocket-Extensions"] = []string{tc.offered}
		a, err := handshake(t.Context(), conn, r, patience)
		if ref, refused := errors.AsType[*Refusal](err); tc.ok && err != nil || !tc.ok && (!refused || ref.Status != http.StatusBadGateway) {
			t.Errorf("offered %q, chose %q: %v", tc.offered, tc.chosen, err)
		}
		if err == nil {
			_ = a.Conn.Close()
		}
		within(t, "the end of the connection", closed)
	}
}

func TestHandshakeEarlyBytes(t *testing.T) {
	for _, size := range []int{1, 100, 3000, 100_000} {
		early := random(size)
		conn, _, _ := script(t, good101+"\r\n"+string(early))
		a, err := handshake(t.Context(), conn, askFor("http://10.0.0.1/ws"), patience)
		if err != nil {
			t.Fatal(err)
		}
		rest := make([]byte, size-len(a.Early))
		_ = a.Conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadFull(a.Conn, rest); err != nil || !bytes.Equal(slices.Concat(a.Early, rest), early) {
			t.Errorf("%d bytes: %v, or others", size, err)
		}
	}
}

func TestHandshakeOrdinaryAnswer(t *testing.T) {
	big := string(random(200_000)) // more than a header may be
	for _, tc := range []struct {
		say    string
		status int
		body   string
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"},
		{"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 404, "hello"},
		{"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 8\r\nContent-Length: 0\r\n\r\n", 426, ""},
		{"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + big, 200, big},
	} {
		conn, _, closed := script(t, tc.say)
		a, err := handshake(t.Context(), conn, askFor("http://10.0.0.1/ws"), patience)
		if err != nil || a.Conn != nil || a.Response.StatusCode != tc.status {
			t.Fatalf("%+v, %v", a, err)
		}
		if body, err := io.ReadAll(a.Response.Body); err != nil || string(body) != tc.body {
			t.Errorf("%d: %d bytes of body, %v", tc.status, len(body), err)
		}
		select {
		case <-closed:
			t.Error("closed before its body was")
		default:
		}
		_ = a.Response.Body.Close()
		within(t, "the end of the connection", closed)
	}
}

func TestHandshakeWaits(t *testing.T) {
	t.Run("for so long", func(t *testing.T) {
		conn, _, closed := script(t, "")
		start := time.Now()
		_, err := handshake(t.Context(), conn, askFor("http://10.0.0.1/ws"), 200*time.Millisecond)
		ref, ok := errors.AsType[*Refusal](err) // says nothing against the upstream
		if d := time.Since(start); !ok || ref.Status != http.StatusGatewayTimeout || d < 200*time.Millisecond || d > patience/2 {
			t.Errorf("%v after %v", err, d)
		}
		within(t, "the end of the connection", closed)
	})
	t.Run("for its context", func(t *testing.T) {
		conn, asked, closed := script(t, "HTTP/1.1 101 Switching")
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-asked; cancel() }()
		start := time.Now()
		if _, err := handshake(ctx, conn, askFor("http://10.0.0.1/ws"), time.Hour); !errors.Is(err, context.Canceled) || time.Since(start) > patience/2 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		within(t, "the end of the connection", closed)
	})
	t.Run("not for a context that is over", func(t *testing.T) {
		conn, _, closed := script(t, good101+"\r\n")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := handshake(ctx, conn, askFor("http://10.0.0.1/ws"), time.Hour); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		within(t, "the end of the connection", closed)
	})
	t.Run("for the body as long as its context", func(t *testing.T) {
		conn, _, closed := script(t, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
		ctx, cancel := context.WithCancel(t.Context())
		a, err := handshake(ctx, conn, askFor("http://10.0.0.1/ws"), patience)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(10*time.Millisecond, cancel)
		if body, err := io.ReadAll(a.Response.Body); err == nil || string(body) != "hello" {
			t.Errorf("%q, %v", body, err)
		}
		_ = a.Response.Body.Close()
		within(t, "the end of the connection", closed)
	})
	t.Run("no more once it is over", func(t *testing.T) {
		conn, _, _ := script(t, good101+"\r\n")
		ctx, cancel := context.WithCancel(t.Context())
		a, err := handshake(ctx, conn, askFor("http://10.0.0.1/ws"), 50*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		cancel() // the handler returns; the connection lives on
		_ = a.Conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		start := time.Now()
		if _, err := a.Conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) < 150*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestAcceptKey(t *testing.T) {
	if got := AcceptKey(testKey); got != testAccept {
		t.Error(got)
	}
}
