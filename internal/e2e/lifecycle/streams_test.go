package lifecycle

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/streamtest"
)

// streams is an upstream with the requests that last: events, which tick; a long poll, which is never answered; a download, of which
// only the beginning comes; and a flood. The rest are WebSockets.
func streams(t testing.TB) *gatetest.Upstream {
	return gatetest.NewUpstream(t, func(u *gatetest.Upstream, c net.Conn, br *bufio.Reader, head string) {
		begin := func(fields string) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"+fields+"\r\n\r\n")
		}
		until := func(write func() error) {
			for write() == nil {
			}
		}
		switch {
		case strings.Contains(head, " /events"):
			begin("Content-Type: text/event-stream; charset=utf-8")
			until(func() error {
				_, err := io.WriteString(c, "data: tick\n\n")
				time.Sleep(50 * time.Millisecond)
				return err
			})
		case strings.Contains(head, " /flood"):
			begin("Content-Type: text/event-stream")
			until(func() error {
				_, err := c.Write(make([]byte, 60<<10))
				return err
			})
		case strings.Contains(head, " /download"):
			begin("Content-Type: text/plain\r\nContent-Length: 1000000")
			_, _ = c.Write(make([]byte, 100_000)) // more than is buffered
			_, _ = io.Copy(io.Discard, br)
		case strings.Contains(head, " /short"):
			begin("Content-Length: 0")
		case strings.Contains(head, " /poll"):
			_, _ = io.Copy(io.Discard, br)
		default:
			echo(u, c, br, head)
		}
	})
}

// clients has a client of every version of HTTP, and where it finds the gateway.
type client struct {
	via    http.RoundTripper
	prefix string
}

func clients(t testing.TB, g *gatetest.Gateway) map[string]client {
	gatetest.AwaitCertificate(t, g.HTTPS)
	h2 := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	t.Cleanup(h2.CloseIdleConnections)
	return map[string]client{
		"HTTP/1.1": {&http.Transport{DisableKeepAlives: true}, "http://" + g.HTTP},
		"HTTP/2.0": {h2, "https://" + g.HTTPS},
		"HTTP/3.0": {streamtest.DialHTTP3(t, g.HTTPS), "https://" + g.HTTPS},
	}
}

// request sends a GET, of which the test expects an answer or the end in its own time.
func (c client) request(t testing.TB, path, token string) (*http.Response, error) {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.prefix+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return c.via.RoundTrip(req)
}

// long is a request that lasts, and how it ended.
type long struct {
	name  string
	ticks chan struct{} // whenever something comes
	end   chan struct{}
	ended string // a status, or of an answer that had begun: "EOF" or "cut"
}

func (c client) start(t testing.TB, name, path, token string) *long {
	l := &long{name: name + " " + path, ticks: make(chan struct{}, 1), end: make(chan struct{})}
	go func() {
		defer close(l.end)
		resp, err := c.request(t, path, token)
		if err != nil {
			l.ended = "cut"
			return
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			b, _ := io.ReadAll(resp.Body)
			l.ended = fmt.Sprint(resp.StatusCode, " ", string(b))
			return
		}
		buf := make([]byte, 1000)
		for err == nil {
			var n int
			if n, err = resp.Body.Read(buf); n > 0 {
				select {
				case l.ticks <- struct{}{}:
				default:
				}
			}
		}
		if l.ended = "cut"; errors.Is(err, io.EOF) {
			l.ended = "EOF"
		}
	}()
	return l
}

// ends expects an end that begins so.
func (l *long) ends(t testing.TB, want string) {
	t.Helper()
	select {
	case <-l.end:
		if !strings.HasPrefix(l.ended, want) {
			t.Errorf("%s ended with %s, want %s", l.name, l.ended, want)
		}
	case <-time.After(20 * time.Second):
		t.Errorf("%s goes on", l.name)
	}
}

// begins waits for the first of the answer.
func (l *long) begins(t testing.TB) {
	t.Helper()
	select {
	case <-l.ticks:
	case <-l.end:
		t.Fatalf("%s ended with %s", l.name, l.ended)
	case <-time.After(20 * time.Second):
		t.Fatalf("%s did not begin", l.name)
	}
}

// goesOn expects more of a stream, beyond what may be buffered.
func (l *long) goesOn(t testing.TB) {
	t.Helper()
	for range 3 {
		l.begins(t)
	}
}

// live returns how many connections the gateway holds.
func live(t testing.TB, g *gatetest.Gateway) string {
	t.Helper()
	resp, err := http.Get("http://" + g.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	for line := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(line, "chatgate_live_connections "); ok {
			return strings.TrimSpace(n)
		}
	}
	t.Fatal("there is no such metric")
	return ""
}

// A logout ends what lasts over HTTP as well, and nobody else's: at once what was seen to last, and the rest as soon as it is. A reload
// ends nothing, and what began before it is ended after it.
func TestLogoutEndsStreams(t *testing.T) {
	t.Parallel()
	up := streams(t)
	conf := plain{upstream: up.Addr}
	g := gatetest.Start(t, conf.String())
	g.Register("alice", password)
	g.Register("bob", password)
	bob := g.Login("bob", password)
	all := clients(t, g)
	var others []*long
	for version, c := range all {
		others = append(others, c.start(t, version+" bob", "/events", bob), c.start(t, version+" visitor", "/events", ""))
	}
	each(t, others, (*long).begins)
	for _, when := range []string{"at once", "once it is live", "after a reload"} {
		alice := g.Login("alice", password)
		var events, polls, downloads []*long
		for version, c := range all {
			events = append(events, c.start(t, version, "/events", alice))
			polls = append(polls, c.start(t, version, "/poll", alice))
			downloads = append(downloads, c.start(t, version, "/download", alice))
		}
		each(t, events, (*long).begins)
		each(t, downloads, (*long).begins)
		gatetest.Eventually(t, "all requests at the upstream", func() bool { return up.Open() == 15 })
		if when != "at once" {
			gatetest.Eventually(t, "all requests to be live", func() bool { return live(t, g) == "15" })
		}
		if when == "after a reload" {
			conf.proxy = "max_message 1MiB"
			if err := g.Reload(conf.String()); err != nil {
				t.Fatal(err)
			}
			each(t, events, (*long).goesOn)
		}
		logout(t, g, "/api/v1/logout", alice)
		for _, l := range events {
			l.ends(t, "EOF")
		}
		for _, l := range polls {
			l.ends(t, "401 {")
		}
		for _, l := range downloads {
			l.ends(t, "cut")
		}
		each(t, others, (*long).goesOn)
		gatetest.Eventually(t, "the upstream to be rid of them", func() bool { return up.Open() == 6 })
	}
	gatetest.Eventually(t, "the rest to be live", func() bool { return live(t, g) == "6" })
}

func each(t testing.TB, all []*long, do func(*long, testing.TB)) {
	t.Helper()
	for _, l := range all {
		do(l, t)
	}
}

// SIGTERM waits for nothing that lasts, whoever asked for it, even if the client reads nothing.
func TestStopEndsStreams(t *testing.T) {
	t.Parallel()
	up := streams(t)
	g := gatetest.Start(t, plain{upstream: up.Addr}.String())
	g.Register("alice", password)
	alice := g.Login("alice", password)
	var events, polls []*long
	for version, c := range clients(t, g) {
		for who, token := range map[string]string{"alice": alice, "visitor": ""} {
			events = append(events, c.start(t, version+" "+who, "/events", token))
			polls = append(polls, c.start(t, version+" "+who, "/poll", token))
		}
	}
	each(t, events, (*long).begins)
	deaf := gatetest.Dial(t, g.HTTP)
	deaf.Send("GET /flood HTTP/1.1\r\nHost: " + g.HTTP + "\r\n\r\n")
	gatetest.Eventually(t, "all requests to be live", func() bool { return live(t, g) == "13" })
	took := g.Stop()
	t.Logf("ended after %v", took)
	if code := g.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, l := range events {
		l.ends(t, "")
	}
	for _, l := range polls {
		l.ends(t, "")
	}
}

// What an account, and a visitor's address, may have is limited, sockets and streams together. What is refused does not reach the
// upstream.
func TestConnectionsAreLimited(t *testing.T) {
	t.Parallel()
	up := streams(t)
	g := gatetest.Start(t, plain{upstream: up.Addr, proxy: "per_address 3\n\t\tper_account 2"}.String())
	g.Register("alice", password)
	c := clients(t, g)["HTTP/1.1"]
	for _, tc := range []struct {
		who, token string
		limit      int
	}{{"alice", g.Login("alice", password), 2}, {"visitor", "", 3}} {
		who := tc.who
		refused := func(what string) {
			t.Helper()
			n := len(up.Heads())
			_, _, err := open(g, false, tc.token)
			if err == nil || !strings.Contains(err.Error(), "429") {
				t.Errorf("%s, %s: one more socket: %v", who, what, err)
			}
			asked := gatetest.Dial(t, g.HTTP)
			asked.Send("GET /events HTTP/1.1\r\nHost: " + g.HTTP + "\r\nAccept: text/event-stream\r\n" + bearerLine(tc.token) + "\r\n")
			if resp, body := asked.Response(); resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
				t.Errorf("%s, %s: one more stream of events: %s %s", who, what, resp.Status, body)
			}
			if m := len(up.Heads()); m != n {
				t.Errorf("%s, %s: %d requests more at the upstream", who, what, m-n)
			}
			// What does not say what it is reaches the upstream, but goes no further.
			c.start(t, who, "/events", tc.token).ends(t, "429 {")
			c.start(t, who, "/poll", tc.token).ends(t, "429 {")
			if resp, err := c.request(t, "/short", tc.token); err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("%s, %s: a short request: %v, %v", who, what, resp, err)
			}
		}
		var socks []*sock
		for i := range tc.limit {
			socks = append(socks, talk(t, g, fmt.Sprint(who, i), false, tc.token))
		}
		refused("sockets")
		hangUp(t, socks)
		gatetest.Eventually(t, "the places", func() bool { return live(t, g) == "0" })
		var lasting []*long
		for i := range tc.limit {
			lasting = append(lasting, c.start(t, fmt.Sprint(who, i), "/events", tc.token))
		}
		each(t, lasting, (*long).begins)
		refused("streams")
		if tc.token != "" {
			logout(t, g, "/api/v1/logout", tc.token)
			each(t, lasting, func(l *long, t testing.TB) { l.ends(t, "EOF") })
		}
	}
}

func bearerLine(token string) string {
	if token == "" {
		return ""
	}
	return "Authorization: Bearer " + token + "\r\n"
}
