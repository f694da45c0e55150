//go:build linux

package line

import (
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// many lets a connection make requests without end, for what is not about that.
const many = "\t\t\t\t\ttries 100\n\t\t\t\t\trequests 10000\n"

func TestLIN01LongestLine(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.Register("alice", password)
	const limit = 1024 // without the end of the line
	padded := func(size int) string {
		line := login("alice")
		return line + strings.Repeat(" ", size-len(line))
	}
	for _, end := range []string{"\n", "\r\n"} {
		for size, fits := range map[int]bool{limit - 1: true, limit: true, limit + 1: false, limit + 2: false, 64 << 10: false} {
			c := h.dial("line")
			c.send(padded(size) + end)
			if fits {
				c.grant()
				continue
			}
			if got := c.rest(); got != "nop syntax:\n" {
				t.Errorf("%d bytes: got %q", size, got)
			}
		}
	}
	// As much in a later line as in the first.
	c := h.dial("line")
	c.granted(padded(limit))
	c.granted(padded(limit))
	c.send(padded(limit+1) + "\n")
	if got := c.rest(); got != "nop syntax:\n" {
		t.Errorf("got %q", got)
	}
}

func TestLIN02Grammar(t *testing.T) {
	t.Parallel()
	h := start(t, options{line: many})
	h.Register("alice", password)
	c := h.dial("line")
	token, _ := c.granted(login("alice"))
	if strings.ContainsAny(token, " \t\"\\") {
		t.Errorf("the token is %q", token)
	}
	// Each is one line, and has one reply, of a fixed set of words, whatever is in it.
	hostile := []string{
		"login u:alice p:x u:bob", "login u:alice u:alice p:" + password, "login p:" + password, "login u:alice", "login u: p:", "login", "",
		"login u:alice%0ap:" + password, "login u:alice%20p:" + password, "login u:alice\u2028p:" + password, "login u:alice\u0085p:" + password,
		"\ufeff" + login("alice"), "login\u00a0u:alice p:" + password, "login u:\"alice p:" + password, "login u:alice p:" + password + "\"",
		"login u:alice p:\"" + password, "login u:alice\\ p:" + password, "login u=alice p=" + password, "login u:alice;p:" + password,
		"login u:alice p:\xc3\x28", "login u:\xff p:x", "login u:\"a\\nb\" p:x", "login u:nop p:ok", "login u:\"nop syntax:\" p:x",
		"nop credentials", "ok", "ok a.b.c 2026-11-21T08:00:00Z", "token t:\"a b\"", "token t:" + token + "x", "token t:" + token + " u:alice",
		"token t:" + token[:len(token)-1], "token t:" + token + "=", "token t:.", "token t:..", "TOKEN t:" + token, "token T:" + token,
		"register u:{env.HOME} p:" + password + " n:" + number, "register u:alice';-- p:" + password + " n:" + number, "register u:\"<b>\" p:x n:y",
		"validatephone p:* c:%", "validatephone p:' c:' ", "validateemail e:a@b c:000000", "validateemail e:\"a b@c\" c:0",
		"help", "quit", "visit", "login u:\"\" p:\"\"", "login :alice p:x", "login u::alice p:x", "login u:alice p:x ", " " + login("alice"),
	}
	reply := regexp.MustCompile(`^nop (syntax:[a-z0-9,]*|[a-z]+)$`)
	rand.Shuffle(len(hostile), func(i, j int) { hostile[i], hostile[j] = hostile[j], hostile[i] })
	c.send(strings.Join(hostile, "\n") + "\n" + login("alice") + "\n")
	for _, l := range hostile {
		if got := c.line(); !reply.MatchString(got) {
			t.Errorf("%q: got %q", l, got)
		}
	}
	c.grant() // of the line after them

	// What is no text ends the connection, and what comes after it is not read.
	for _, l := range []string{
		"login u:alice\rp:x", "login u:alice\x00p:x", "login u:alice\tp:x", "\x1b[2J", "login u:alice p:" + password + "\r\r", "\x00", "\x7f",
	} {
		c := h.dial("line")
		c.granted(login("alice"))
		c.send(l + "\n" + login("alice") + "\n")
		if got := c.rest(); got != "nop syntax:\n" {
			t.Errorf("%q: got %q", l, got)
		}
	}
}

func TestLIN03ManyTries(t *testing.T) {
	t.Parallel()
	h := start(t, options{app: "\t\tlogin_backoff 5 1h 1h\n"})
	h.Register("alice", password)
	h.Register("bob", password)

	// A thousand logins in one write: three are judged, however right the others are.
	c := h.dial("line")
	go io.WriteString(c, "login u:alice p:wrong\nlogin u:nobody p:wrong\nlogin u:alice p:wrong\n"+strings.Repeat(login("alice")+"\n", 997))
	if got := c.rest(); got != "nop credentials\nnop credentials\nnop credentials\n" {
		t.Errorf("got %.200q", got)
	}

	// The account has five, over every connection and dialect.
	for i := range 3 {
		c := h.dial("line")
		c.wants("login u:ALICE p:wrong", "nop credentials")
		c.Close()
		if i == 2 {
			break
		}
	}
	status, _, body := h.Call(http.MethodPost, "/api/v1/login", "", `{"username":"alice","secret":"`+password+`"}`)
	if status != http.StatusTooManyRequests {
		t.Errorf("over HTTP: %d %s", status, body)
	}
	h.dial("line").wants(login("alice"), "nop ratelimited")

	// And the other way round.
	for range 5 {
		h.Call(http.MethodPost, "/api/v1/login", "", `{"username":"bob","secret":"wrong"}`)
	}
	h.dial("line").wants(login("bob"), "nop ratelimited")
}

func TestLIN03OtherProtocols(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.Register("alice", password)
	for _, first := range []string{
		"POST /api/v1/login HTTP/1.1\r\n", "GET / HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n", "EHLO localhost\r\n", "NICK alice\r\n", "SSH-2.0-x\r\n",
		"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n", "{\"login\":{}}\n", "\r\n\x00\r\nQUIT\n",
	} {
		for _, listener := range []string{"line", "gate"} {
			c := h.dial(listener)
			c.send(first + "Host: localhost\r\n\r\n" + login("alice") + "\r\n")
			if got := c.rest(); got != "nop syntax:\n" {
				t.Errorf("%q: got %.200q", first, got)
			}
		}
	}
	h.chat.untouched(t)

	// After ok, nothing is a request any more.
	c := h.dial("gate")
	c.granted(login("alice"))
	c.expect("NICK alice\r\nACCESS read-write\r\n")
	c.wants(login("bob"), login("bob"))
	h.chat.accept(t).hears(t, "NICK alice\r\nACCESS read-write\r\n"+login("bob")+"\n")
}

func TestLIN04Transport(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.Register("alice", password)
	addr := h.listeners["line"]
	for name, change := range map[string]func(*tls.Config){
		"TLS 1.0":   func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 },
		"TLS 1.1":   func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 },
		"RSA":       func(c *tls.Config) { weak(c, tls.TLS_RSA_WITH_AES_128_GCM_SHA256) },
		"CBC":       func(c *tls.Config) { weak(c, tls.TLS_RSA_WITH_AES_128_CBC_SHA) },
		"3DES":      func(c *tls.Config) { weak(c, tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA) },
		"RC4":       func(c *tls.Config) { weak(c, tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA) },
		"elsewhere": func(c *tls.Config) { c.ServerName = "elsewhere.example.com"; c.InsecureSkipVerify = false },
	} {
		config := trusting()
		change(config)
		if c, err := tls.Dial("tcp", addr, config); err == nil {
			c.Close()
			t.Errorf("%s was accepted", name)
		}
	}
	for name, change := range map[string]func(*tls.Config){
		"TLS 1.2": func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
		"TLS 1.3": func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 },
		"no name": func(c *tls.Config) { c.ServerName = "" }, // as of many clients of bare TLS
	} {
		config := trusting()
		change(config)
		c, err := tls.Dial("tcp", addr, config)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		newClient(t, c).granted(login("alice"))
	}

	// Without a default for it, a client that names no site is not served another.
	if c, err := tls.Dial("tcp", h.listeners["gate"], &tls.Config{InsecureSkipVerify: true}); err == nil {
		c.Close()
		t.Error("no name was accepted where there is no default")
	}

	// In clear: no line is read, and none is answered.
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, raw)
	c.send(login("alice") + "\n")
	if got := c.rest(); strings.Contains(got, "ok") || strings.Contains(got, "nop") {
		t.Errorf("in clear: got %q", got)
	}

	// TLS within TLS is no line either.
	inner := h.dial("line")
	handshake := tls.Client(inner.Conn, trusting())
	inner.SetDeadline(time.Now().Add(patience))
	if err := handshake.Handshake(); err == nil {
		t.Error("TLS in TLS was accepted")
	}
}

func weak(c *tls.Config, suite uint16) {
	c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{suite}
}

func TestLIN06TokensAreThoseOfHTTP(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.Register("alice", password)
	begin := time.Now().Truncate(time.Second)
	overHTTP := h.Login("alice", password)
	a := claims(t, overHTTP)
	for _, end := range []string{"\n", "\r\n"} {
		c := h.dial("line")
		c.send(login("alice") + end)
		token, expires := c.grant()
		l := claims(t, token)
		if l.Exp != expires.Unix() || l.Exp-l.Iat != 3600 || expires.Before(begin.Add(time.Hour)) {
			t.Errorf("good until %v, said to be until %v", time.Unix(l.Exp, 0), expires)
		}
		if l.Sub != a.Sub || l.Iss != a.Iss || l.Aud != a.Aud || l.Name != a.Name || l.Sid == a.Sid || l.Jti == a.Jti {
			t.Errorf("%+v, over HTTP %+v", l, a)
		}
		// At the chat over HTTP, both are the same user in the same mode.
		var told []string
		for _, tok := range []string{overHTTP, token} {
			n := len(h.rooms.Heads())
			h.WebSocket("/api/v1/rooms/1/messages/ws", tok).Echo("hello")
			head := h.rooms.LastHead(t, n)
			told = append(told, fmt.Sprint(gatetest.HeaderValues(head, "Remote-User"), gatetest.HeaderValues(head, "Remote-Id"), gatetest.HeaderValues(head, "Remote-Access")))
		}
		if told[0] != told[1] || told[1] != "[alice] ["+l.Sub+"] [read-write]" {
			t.Errorf("the chat was told %q", told)
		}
		// And each opens the gate.
		for _, tok := range []string{overHTTP, token} {
			g := h.dial("gate")
			g.send("token t:" + tok + end)
			g.expect("ok\nNICK alice\r\nACCESS read-write\r\n")
		}
	}
}
