package attack

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/tcptest"
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
	p.silent = &gatetest.Upstream{Addr: tcptest.Serve(t, func(net.Conn) { <-hang })}
	t.Cleanup(func() { close(hang) })
	file := strings.NewReplacer("FIRST", p.first.Addr, "SECOND", p.second.Addr, "SILENT", p.silent.Addr, "H2C", p.h2c.Addr, "MAXFAILS", fmt.Sprint(maxFails)).Replace(poolCaddyfile)
	p.Gateway = gatetest.Start(t, file, gatetest.Options{Env: []string{"GODEBUG=http2xconnect=1"}})
	p.Register("alice", password)
	p.token = p.Login("alice", password)
	gatetest.AwaitCertificate(t, p.HTTPS)
	return p
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
