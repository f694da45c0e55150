package closing

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/http2"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// watcher is a client that watches for the end of the stream all the time, over whatever its WebSocket runs.
type watcher struct {
	t     testing.TB
	w     io.Writer
	heard chan event
}

// event is a frame, or the end.
type event struct {
	frame gatetest.Frame
	err   error
}

func watch(t testing.TB, w io.Writer, r io.Reader) *watcher {
	c := &watcher{t: t, w: w, heard: make(chan event, 100)}
	go func() {
		for {
			f, err := gatetest.ReadFrame(r)
			c.heard <- event{f, err}
			if err != nil {
				return
			}
		}
	}()
	return c
}

func (c *watcher) send(f gatetest.Frame) {
	c.t.Helper()
	if _, err := c.w.Write(f.Encode(true)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *watcher) next() event {
	c.t.Helper()
	select {
	case e := <-c.heard:
		return e
	case <-time.After(patience):
		c.t.Fatal("nothing came")
		return event{}
	}
}

func (c *watcher) told(code int) {
	c.t.Helper()
	if e := c.next(); e.err != nil || e.frame.CloseCode() != code {
		c.t.Fatalf("got %+v, want close %d", e, code)
	}
}

// waits expects nothing, not even the end.
func (c *watcher) waits() {
	c.t.Helper()
	select {
	case e := <-c.heard:
		c.t.Fatalf("got %+v before the close frame was answered", e)
	case <-time.After(300 * time.Millisecond):
	}
}

// answers expects the end to come with the answer, not when the wait for one is over.
func (c *watcher) answers() {
	c.t.Helper()
	start := time.Now()
	c.send(gatetest.Frame{Fin: true, Op: 8, Payload: []byte{3, 233}})
	if e := c.next(); !errors.Is(e.err, io.EOF) || errors.Is(e.err, io.ErrUnexpectedEOF) {
		c.t.Fatalf("got %+v, want the end", e)
	}
	if d := time.Since(start); d > time.Second {
		c.t.Errorf("the end came %v after the answer", d)
	}
}

// transports are what a WebSocket runs over.
var transports = map[string]func(t testing.TB, g *gatetest.Gateway, path, token string) *watcher{
	"TCP": func(t testing.TB, g *gatetest.Gateway, path, token string) *watcher {
		return overHTTP1(gatetest.Dial(t, g.HTTP), t, g.HTTP, path, token)
	},
	"TLS": func(t testing.TB, g *gatetest.Gateway, path, token string) *watcher {
		return overHTTP1(gatetest.DialTLS(t, g.HTTPS), t, g.HTTPS, path, token)
	},
	"HTTP2": overHTTP2,
	"HTTP3": overHTTP3,
}

func overHTTP1(c *gatetest.Raw, t testing.TB, host, path, token string) *watcher {
	t.Helper()
	var more []string
	if token != "" {
		more = append(more, "Sec-WebSocket-Protocol: "+token)
	}
	c.Open(host, path, more...)
	_ = c.SetReadDeadline(time.Now().Add(patience))
	return watch(t, c, c.R)
}

func overHTTP2(t testing.TB, g *gatetest.Gateway, path, token string) *watcher {
	t.Helper()
	tr := &http2.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:staticcheck // net/http's own has no extended CONNECT
	body, w := io.Pipe()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	req, err := http.NewRequestWithContext(ctx, http.MethodConnect, "https://"+g.HTTPS+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{":protocol": {"websocket"}, "Sec-Websocket-Version": {"13"}}
	if token != "" {
		req.Header.Set("Sec-WebSocket-Protocol", token)
	}
	resp, err := tr.RoundTrip(req) //nolint:staticcheck // as above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = resp.Body.Close()
		tr.CloseIdleConnections() //nolint:staticcheck // as above
	})
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	return watch(t, w, resp.Body)
}

func overHTTP3(t testing.TB, g *gatetest.Gateway, path, token string) *watcher {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := quic.DialAddr(ctx, g.HTTPS, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", NextProtos: []string{http3.NextProtoH3}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseWithError(0, "") })
	client := (&http3.Transport{}).NewClientConn(conn)
	select {
	case <-client.ReceivedSettings():
	case <-ctx.Done():
		t.Fatal("no SETTINGS")
	}
	str, err := client.OpenRequestStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	u := &url.URL{Scheme: "https", Host: g.HTTPS, Path: path}
	h := http.Header{"Sec-Websocket-Version": {"13"}}
	if token != "" {
		h.Set("Sec-WebSocket-Protocol", token)
	}
	if err := str.SendRequestHeader(&http.Request{Method: http.MethodConnect, Proto: "websocket", Host: g.HTTPS, URL: u, Header: h}); err != nil {
		t.Fatal(err)
	}
	resp, err := str.ReadResponse()
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	return watch(t, str, bufio.NewReader(str))
}

// TestEndWaits: over whatever a WebSocket runs, the end of the stream waits for the client's close frame, and comes with it.
func TestEndWaits(t *testing.T) {
	g := start(t)
	var last []*watcher
	for name, open := range transports {
		t.Run(name, func(t *testing.T) {
			token := g.Login("alice", password)
			c := open(t, g, "/chat", token)
			c.send(gatetest.Text("hello"))
			if e := c.next(); string(e.frame.Payload) != "hello" {
				t.Fatalf("%+v", e)
			}
			logout(t, g, token)
			c.told(4401)
			c.waits()
			c.answers()

			c = open(t, g, "/refused", token)
			c.told(4401)
			c.waits()
			c.answers()

			c = open(t, g, "/chat", "")
			c.send(gatetest.Text("let me write"))
			c.send(gatetest.Text("and on"))
			c.told(1008)
			c.waits()
			c.answers()

			c = open(t, g, "/chat", "") // the chat says goodbye, and goes; the client is in no hurry
			c.send(gatetest.Frame{Fin: true, Op: 9, Payload: []byte("leave")})
			c.told(4000)
			c.waits()
			c.answers()

			if name == "TCP" || name == "TLS" {
				c = open(t, g, "/methods", "")
				c.send(gatetest.Frame{Fin: true, Op: 2, Payload: []byte("x")})
				c.told(1003)
				c.waits()
				c.answers()
			}
		})
		last = append(last, open(t, g, "/chat", ""))
	}
	last = append(last, transports["TLS"](t, g, "/methods", ""))
	stopped := make(chan struct{})
	go func() { defer close(stopped); g.Stop() }()
	for _, c := range last {
		c.told(1012)
	}
	last[0].waits()
	for _, c := range last {
		select {
		case e := <-c.heard:
			t.Fatalf("got %+v before the close frame was answered", e)
		default:
		}
		c.answers()
	}
	<-stopped
}
