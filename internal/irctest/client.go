//go:build linux

package irctest

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// Message is a line of IRC.
type Message struct {
	Raw     string
	Source  string // nick!user@host or a server's name, if there is one
	Command string
	Params  []string
}

// Parse takes a line apart, without the end of line.
func Parse(line string) Message {
	m := Message{Raw: line}
	rest := line
	if strings.HasPrefix(rest, ":") {
		m.Source, rest, _ = strings.Cut(rest[1:], " ")
	}
	m.Command, rest, _ = strings.Cut(rest, " ")
	for rest = strings.TrimLeft(rest, " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		if strings.HasPrefix(rest, ":") {
			m.Params = append(m.Params, rest[1:])
			break
		}
		var param string
		param, rest, _ = strings.Cut(rest, " ")
		m.Params = append(m.Params, param)
	}
	return m
}

// Param returns the parameter with an index, or nothing. A negative one counts from the end.
func (m Message) Param(i int) string {
	if i < 0 {
		i += len(m.Params)
	}
	if i < 0 || i >= len(m.Params) {
		return ""
	}
	return m.Params[i]
}

// Client is a connection that sends exact bytes.
type Client struct {
	net.Conn
	t    testing.TB
	r    *bufio.Reader
	nick string
	seen []string
}

// Dialer says how a client connects.
type Dialer struct {
	TLS  *tls.Config // nil: without
	From string      // its own address; default: whatever the system chooses
}

// Dial connects until the test ends.
func (d Dialer) Dial(t testing.TB, addr string) *Client {
	t.Helper()
	dialer := &net.Dialer{Timeout: patience}
	if d.From != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(d.From)}
	}
	var c net.Conn
	var err error
	if d.TLS != nil {
		c, err = tls.DialWithDialer(dialer, "tcp", addr, d.TLS)
	} else {
		c, err = dialer.Dial("tcp", addr)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &Client{Conn: c, t: t, r: bufio.NewReader(c)}
}

// Send writes lines in one packet.
func (c *Client) Send(lines ...string) {
	c.t.Helper()
	c.SendRaw(strings.Join(lines, "\r\n") + "\r\n")
}

// SendRaw writes exact bytes.
func (c *Client) SendRaw(s string) {
	c.t.Helper()
	_ = c.SetWriteDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c.Conn, s); err != nil {
		c.t.Fatalf("sending %q: %v; seen:\n%s", s, err, c.Seen())
	}
}

// Nick returns the nick that the server has given.
func (c *Client) Nick() string { return c.nick }

// Seen returns all lines that were received so far.
func (c *Client) Seen() string { return strings.Join(c.seen, "\n") }

// next returns the next message. A PING is answered, too.
func (c *Client) next() (Message, error) {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	line, err := c.r.ReadString('\n')
	if err != nil {
		if line != "" {
			c.seen = append(c.seen, line)
		}
		return Message{}, err
	}
	line = strings.TrimRight(line, "\r\n")
	c.seen = append(c.seen, line)
	m := Parse(line)
	switch m.Command {
	case "001":
		c.nick = m.Param(0)
	case "PING":
		_, err = io.WriteString(c.Conn, "PONG :"+m.Param(-1)+"\r\n")
	}
	return m, err
}

// Expect reads until a message with that command whose line has all of these words, and returns it.
func (c *Client) Expect(command string, words ...string) Message {
	c.t.Helper()
	for {
		m, err := c.next()
		if err != nil {
			c.t.Fatalf("waiting for %s %q: %v; seen:\n%s", command, words, err, c.Seen())
		}
		if m.Command == command && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(m.Raw, w) }) {
			return m
		}
	}
}

// Next returns the next message, which must have that command.
func (c *Client) Next(command string) Message {
	c.t.Helper()
	m, err := c.next()
	if err != nil || m.Command != command {
		c.t.Fatalf("got %q, %v; want %s; seen:\n%s", m.Raw, err, command, c.Seen())
	}
	return m
}

// Sync returns all that arrives before the answer to a PING of its own: what the server did because of earlier lines is
// among it.
func (c *Client) Sync() (before []Message) {
	c.t.Helper()
	token := "sync" + base64.RawURLEncoding.EncodeToString([]byte(time.Now().Format("150405.000000000")))
	c.Send("PING " + token)
	for {
		m, err := c.next()
		if err != nil {
			c.t.Fatalf("waiting for a PONG: %v; seen:\n%s", err, c.Seen())
		}
		if m.Command == "PONG" && m.Param(-1) == token {
			return before
		}
		before = append(before, m)
	}
}

// End reads until the connection is closed from the other side, and returns what came before that.
func (c *Client) End() (before []Message) {
	c.t.Helper()
	for {
		m, err := c.next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.t.Fatalf("the connection is still open; seen:\n%s", c.Seen())
		}
		if err != nil {
			return before
		}
		before = append(before, m)
	}
}

// Whois returns the answers about a nick, by numeric.
func (c *Client) Whois(nick string) map[string]Message {
	c.t.Helper()
	c.Send("WHOIS " + nick)
	found := make(map[string]Message)
	for {
		m, err := c.next()
		if err != nil {
			c.t.Fatalf("WHOIS %s: %v; seen:\n%s", nick, err, c.Seen())
		}
		if len(m.Command) == 3 && strings.EqualFold(m.Param(1), nick) {
			found[m.Command] = m
			if m.Command == "318" {
				return found
			}
		}
	}
}

// Plain is the payload of SASL PLAIN, in base64.
func Plain(account, password string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + account + "\x00" + password))
}
