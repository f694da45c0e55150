package mailer

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

// Security is the use of TLS with the mail server.
type Security string

// The values of [Security].
const (
	StartTLS Security = "starttls" // required, right after the greeting
	Implicit Security = "implicit" // TLS from the first byte
	Clear    Security = "off"      // no TLS; for this machine only
)

// Password is a password for the mail server. It does not print.
type Password string

// Format keeps the password out of logs and errors.
func (Password) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[password]")) }

// MarshalText keeps it out of JSON.
func (Password) MarshalText() ([]byte, error) { return []byte("[password]"), nil }

// Server is a mail server that takes messages, and how to connect to it.
type Server struct {
	Host     string
	Port     string
	Security Security
	User     string // no login if empty
	Password Password

	Hello   string         // the name in EHLO; the sender's domain if empty
	RootCAs *x509.CertPool // the system's if nil
	Timeout time.Duration  // for a whole delivery; 10 s if zero
}

// ParseURL parses smtp://[user:password@]host[:port] or smtps://…. No error shows any of it.
func ParseURL(text string, security Security) (Server, error) {
	u, err := url.Parse(text)
	if err != nil {
		return Server{}, errors.New("it is malformed")
	}
	s := Server{Host: u.Hostname(), Port: u.Port(), Security: security}
	switch {
	case u.Scheme == "smtps" && (security == "" || security == Implicit):
		s.Security = Implicit
	case u.Scheme == "smtps":
		return Server{}, errors.New("smtps means TLS from the first byte; write smtp for another tls")
	case u.Scheme != "smtp":
		return Server{}, errors.New("it must begin with smtp:// or smtps://")
	case security == "":
		s.Security = StartTLS
	}
	if !slices.Contains([]Security{StartTLS, Implicit, Clear}, s.Security) {
		return Server{}, errors.New("tls must be starttls, implicit or off")
	}
	switch {
	case s.Host == "":
		return Server{}, errors.New("it names no host")
	case u.Opaque != "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return Server{}, errors.New("it must end after the host and port; percent-encode / ? # and @ in a password")
	case s.Security == Clear && !onThisMachine(s.Host):
		return Server{}, errors.New("tls off would send codes and passwords in clear; it is allowed for a server on this machine only")
	}
	if s.Port == "" {
		s.Port = map[Security]string{StartTLS: "587", Implicit: "465", Clear: "25"}[s.Security]
	}
	if n, err := strconv.Atoi(s.Port); err != nil || n < 1 || n > 65535 {
		return Server{}, errors.New("its port must be between 1 and 65535")
	}
	if u.User != nil {
		password, _ := u.User.Password()
		s.User, s.Password = u.User.Username(), Password(password)
		if s.User == "" || s.Password == "" {
			return Server{}, errors.New("it must have both a user and a password, or neither")
		}
	}
	return s, nil
}

func onThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// most bounds the replies of a server in one delivery, in bytes.
const most = 1 << 20

// deliver sends one message to the server.
func (s Server) deliver(ctx context.Context, m envelope) error {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(s.Timeout, 10*time.Second))
	defer cancel()
	err := s.converse(ctx, m)
	if err != nil && ctx.Err() != nil {
		// The context closed the connection, so its error is the cause. A reply before that still counts.
		if f, ok := errors.AsType[*failure](err); ok && f.reply == "" {
			return &failure{doing: f.doing, err: ctx.Err()}
		}
	}
	return err
}

func (s Server) converse(ctx context.Context, m envelope) error {
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(s.Host, s.Port))
	if err != nil {
		return failed("connecting", err)
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()

	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.Host, RootCAs: s.RootCAs}
	var conn net.Conn = &bounded{Conn: raw, left: most}
	if s.Security == Implicit {
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return failed("the TLS handshake", err)
		}
		conn = secure
	}
	c, err := smtp.NewClient(conn, s.Host)
	if err != nil {
		return failed("the connection", err)
	}
	c.SkipSMTPUTF8(true) // every address is ASCII
	if err := c.Hello(s.Hello); err != nil {
		return failed("EHLO", err)
	}
	if s.Security == StartTLS {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return &failure{doing: "the mail server does not offer STARTTLS; for TLS from the first byte, write smtps:// and its port"}
		}
		if err := c.StartTLS(config); err != nil {
			return failed("STARTTLS", err)
		}
	}
	if s.User != "" {
		if err := c.Auth(&login{server: s}); err != nil {
			return failed("AUTH", err)
		}
	}
	if err := s.transfer(c, m); err != nil {
		return err
	}
	_ = c.Quit() // the server has accepted the message
	return nil
}

func (Server) transfer(c *smtp.Client, m envelope) error {
	if err := c.Mail(m.from); err != nil {
		return failed("MAIL", err)
	}
	if err := c.Rcpt(m.to); err != nil {
		return failed("RCPT", err)
	}
	w, err := c.Data()
	if err != nil {
		return failed("DATA", err)
	}
	if _, err := w.Write(m.raw); err != nil {
		return failed("the message", err)
	}
	return failed("the message", w.Close())
}

// login chooses the strongest mechanism that the server offers.
type login struct {
	server Server
	smtp.Auth
}

// Start implements smtp.Auth.
func (l *login) Start(info *smtp.ServerInfo) (string, []byte, error) {
	s := l.server
	clear := s.Security == Clear // on this machine
	for _, way := range []struct {
		name string
		auth func() smtp.Auth
	}{
		{"SCRAM-SHA-256", func() smtp.Auth { return smtp.ScramSHA256Auth(s.User, string(s.Password)) }},
		{"SCRAM-SHA-1", func() smtp.Auth { return smtp.ScramSHA1Auth(s.User, string(s.Password)) }},
		{"PLAIN", func() smtp.Auth { return smtp.PlainAuth("", s.User, string(s.Password), s.Host, clear) }},
		{"LOGIN", func() smtp.Auth { return smtp.LoginAuth(s.User, string(s.Password), s.Host, clear) }},
	} {
		if slices.Contains(info.Auth, way.name) {
			l.Auth = way.auth()
			return l.Auth.Start(info)
		}
	}
	return "", nil, &failure{doing: "the mail server offers none of SCRAM-SHA-256, SCRAM-SHA-1, PLAIN and LOGIN", permanent: true}
}

// bounded is a connection that reads a limited number of bytes.
type bounded struct {
	net.Conn
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errMalformed
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func isEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
