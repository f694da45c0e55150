package smtptest

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/chatgate/chatgate/internal/certtest"
)

// Security is how connections are secured.
type Security int

// The ways.
const (
	Plain    Security = iota
	StartTLS          // and nothing before it: a message in clear is refused
	TLS               // from the first byte
)

// Options say what kind of server it is. The zero value takes anything from anybody, in clear.
type Options struct {
	Security Security
	User     string   // who has to log in; nobody if it is empty
	Password string   // of the user
	Logins   []string // mechanisms that are offered: PLAIN and LOGIN if it is nil
	Name     string   // that the certificate is for, instead of 127.0.0.1 and localhost
}

// Server is a mail server of one test.
type Server struct {
	Addr   string // host:port
	CAFile string // PEM, of its certificate for 127.0.0.1 and localhost; empty with Plain

	options Options
	server  *smtp.Server
	ln      *listener
	tls     *tls.Config // of the server
	client  *tls.Config

	mu       sync.Mutex
	messages []Message
	arrived  chan struct{} // closed and replaced when something arrives
	script   []Reply
	holds    map[Stage]chan struct{}
	reached  map[Stage]int
}

// Start makes a server.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{options: o, arrived: make(chan struct{}), holds: make(map[Stage]chan struct{}), reached: make(map[Stage]int)}
	if o.Security != Plain {
		s.certify(t)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = ln.Addr().String()
	s.ln = &listener{Listener: ln, conns: make(map[net.Conn]struct{})}
	s.server = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return s.begin(c) }))
	s.server.Domain = "smtptest"
	s.server.ErrorLog = log.New(io.Discard, "", 0)
	s.server.MaxMessageBytes, s.server.MaxRecipients = 1<<20, 100
	s.server.AllowInsecureAuth = o.Security == Plain
	var front net.Listener = s.ln
	switch o.Security {
	case Plain:
	case StartTLS:
		s.server.TLSConfig = s.tls
	case TLS:
		front = tls.NewListener(s.ln, s.tls)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.server.Serve(front) // until Stop
	}()
	t.Cleanup(func() {
		s.Stop()
		<-done
	})
	return s
}

// certify gives the server a certificate, and its clients what they need to trust it.
func (s *Server) certify(t testing.TB) {
	t.Helper()
	hosts := []string{"127.0.0.1", "localhost"}
	if s.options.Name != "" {
		hosts = []string{s.options.Name}
	}
	ca := certtest.NewAuthority(t, t.TempDir())
	s.CAFile = ca.File
	s.tls = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{ca.Issue(t, "mail server", hosts...).TLS}}
	s.client = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: ca.Pool, ServerName: "127.0.0.1"}
}

// Stop closes the server and its connections. What it was sent can still be asked for.
func (s *Server) Stop() {
	s.mu.Lock()
	for stage, hold := range s.holds {
		close(hold)
		delete(s.holds, stage)
	}
	s.mu.Unlock()
	s.ln.closeAll()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_ = s.server.Shutdown(ctx) // an error: it was stopped before
}

// URL returns where the server is, as a client with a user and a password is told: smtp://user:password@127.0.0.1:port.
func (s *Server) URL() string {
	u := url.URL{Scheme: "smtp", Host: s.Addr}
	if s.options.Security == TLS {
		u.Scheme = "smtps"
	}
	if s.options.User != "" {
		u.User = url.UserPassword(s.options.User, s.options.Password)
	}
	return u.String()
}

// ClientTLS returns what a client has to know to trust the server.
func (s *Server) ClientTLS() *tls.Config { return s.client.Clone() }

// Messages returns what has arrived, in its order.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Wait waits until n messages have arrived, and returns all that have.
func (s *Server) Wait(t testing.TB, n int) []Message {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		s.mu.Lock()
		messages, arrived := slices.Clone(s.messages), s.arrived
		s.mu.Unlock()
		if len(messages) >= n {
			return messages
		}
		select {
		case <-arrived:
		case <-deadline:
			t.Fatalf("%d messages have arrived, not %d", len(messages), n)
		}
	}
}

// listener knows its connections, so that they can be closed.
type listener struct {
	net.Listener

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = c.Close()
	}
	tracked := &conn{Conn: c, of: l}
	l.conns[tracked] = struct{}{}
	return tracked, nil
}

func (l *listener) closeAll() {
	_ = l.Close()
	l.mu.Lock()
	l.closed = true
	conns := l.conns
	l.conns = make(map[net.Conn]struct{})
	l.mu.Unlock()
	for c := range conns {
		_ = c.Close()
	}
}

type conn struct {
	net.Conn
	of *listener
}

func (c *conn) Close() error {
	c.of.mu.Lock()
	delete(c.of.conns, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
