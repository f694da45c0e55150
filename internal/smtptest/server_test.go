package smtptest

import (
	"crypto/tls"
	"errors"
	"net/smtp"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const letter = "From: a@example.com\r\nTo: b@example.com\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\n" +
	"Content-Type: multipart/alternative; boundary=xx\r\n\r\n" +
	"--xx\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na=3Db\r\n" +
	"--xx\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+YjwvYj4=\r\n--xx--\r\n"

// The other side is a client that has nothing to do with the server.
func send(s *Server, secure bool, auth smtp.Auth) error {
	var c *smtp.Client
	var err error
	if s.options.Security == TLS {
		conn, derr := tls.Dial("tcp", s.Addr, s.ClientTLS())
		if derr != nil {
			return derr
		}
		c, err = smtp.NewClient(conn, "127.0.0.1")
	} else {
		c, err = smtp.Dial(s.Addr)
	}
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Hello("tester"); err != nil {
		return err
	}
	if secure && s.options.Security == StartTLS {
		if err := c.StartTLS(s.ClientTLS()); err != nil {
			return err
		}
	}
	if auth != nil {
		if err := c.Auth(auth); err != nil {
			return err
		}
	}
	if err := c.Mail("a@example.com"); err != nil {
		return err
	}
	if err := c.Rcpt("b@example.com"); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(letter)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return c.Quit()
}

func TestKeepsWhatItIsSent(t *testing.T) {
	for name, security := range map[string]Security{"plain": Plain, "starttls": StartTLS, "tls": TLS} {
		t.Run(name, func(t *testing.T) {
			s := Start(t, Options{Security: security})
			if err := send(s, true, nil); err != nil {
				t.Fatal(err)
			}
			m := s.Wait(t, 1)[0]
			if m.From != "a@example.com" || len(m.To) != 1 || m.To[0] != "b@example.com" || m.Hello != "tester" || m.TLS != (security != Plain) {
				t.Errorf("%+v", m)
			}
			if m.Subject(t) != "café" || strings.TrimSpace(m.Text(t)) != "a=b" || m.HTML(t) != "<b>b</b>" {
				t.Errorf("%q, %q, %q", m.Subject(t), m.Text(t), m.HTML(t))
			}
		})
	}
}

func TestRefusesWhatIsNotSecure(t *testing.T) {
	s := Start(t, Options{Security: StartTLS})
	if err := send(s, false, nil); err == nil || !strings.Contains(err.Error(), "STARTTLS") {
		t.Errorf("in clear: %v", err)
	}
}

func TestLogins(t *testing.T) {
	s := Start(t, Options{User: "chat", Password: "secret"})
	if err := send(s, false, nil); err == nil {
		t.Error("nobody had to log in")
	}
	if err := send(s, false, smtp.PlainAuth("", "chat", "wrong", "127.0.0.1")); err == nil {
		t.Error("any password will do")
	}
	if err := send(s, false, smtp.PlainAuth("", "chat", "secret", "127.0.0.1")); err != nil {
		t.Error(err)
	}
	c, err := gosmtp.Dial(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Auth(sasl.NewLoginClient("chat", "secret")); err != nil {
		t.Error(err)
	}
	if m := s.Messages(); len(m) != 1 || m[0].User != "chat" {
		t.Errorf("%+v", m)
	}
}

func TestReplies(t *testing.T) {
	s := Start(t, Options{})
	s.Reply(
		Reply{Stage: Data, Code: 554, Text: "spam"}, Reply{Stage: Rcpt, Code: 451}, Reply{Stage: Data},
		Reply{Stage: Hello, Code: 421}, Reply{Stage: Hello, Code: 421, Text: "later"}, // a client tries HELO after EHLO
	)
	for _, want := range []string{"later", "451", "spam", "EOF"} {
		if err := send(s, false, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := send(s, false, nil); err != nil {
		t.Error(err)
	}
	if n := s.Reached(Data); n != 3 || len(s.Messages()) != 1 {
		t.Errorf("%d came to DATA, %d arrived", n, len(s.Messages()))
	}
}

func TestHoldAndStop(t *testing.T) {
	s := Start(t, Options{})
	release := s.Hold(Data)
	sent := make(chan error, 1)
	go func() { sent <- send(s, false, nil) }()
	release()
	if err := <-sent; err != nil {
		t.Error(err)
	}
	s.Hold(Data)
	go func() { sent <- send(s, false, nil) }()
	s.Stop()
	if err := <-sent; errors.Is(err, nil) {
		t.Error("sent to a server that had stopped")
	}
}
