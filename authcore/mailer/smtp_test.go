package mailer

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/internal/smtptest"
	"github.com/chatgate/chatgate/internal/tcptest"
)

func TestSendsOverSMTP(t *testing.T) {
	for name, tc := range map[string]struct {
		options  smtptest.Options
		security Security
	}{
		"starttls":            {smtptest.Options{Security: smtptest.StartTLS}, ""},
		"tls":                 {smtptest.Options{Security: smtptest.TLS}, ""},
		"tls said twice":      {smtptest.Options{Security: smtptest.TLS}, Implicit},
		"clear":               {smtptest.Options{}, Clear},
		"starttls with user":  {smtptest.Options{Security: smtptest.StartTLS, User: "chat@example.com", Password: thePassword}, ""},
		"tls with user":       {smtptest.Options{Security: smtptest.TLS, User: "chat", Password: thePassword}, ""},
		"tls with login":      {smtptest.Options{Security: smtptest.TLS, User: "chat", Password: thePassword, Logins: []string{"CRAM-MD5", "LOGIN"}}, ""},
		"starttls with login": {smtptest.Options{Security: smtptest.StartTLS, User: "chat", Password: thePassword, Logins: []string{"LOGIN"}}, ""},
		"clear with user":     {smtptest.Options{User: "chat", Password: thePassword}, Clear},
	} {
		t.Run(name, func(t *testing.T) {
			s := smtptest.Start(t, tc.options)
			m, _ := start(t, Options{Server: server(t, s, tc.security)})
			if err := m.Send(t.Context(), notice(authcore.NoticeResetCode)); err != nil {
				t.Fatal(err)
			}
			got := s.Wait(t, 1)[0]
			if got.User != tc.options.User || got.TLS != (tc.options.Security != smtptest.Plain) || got.Hello != "example.com" {
				t.Errorf("%+v", got)
			}
			if s := m.Stats(); s != (Stats{Sent: 1}) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// What is sent is what is meant to be, for every kind.
func TestMessages(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{})
	m, _ := start(t, Options{Server: server(t, s, Clear)})
	ids := make(map[string]bool)
	for i, kind := range authcore.NoticeKinds() {
		if err := m.Queue(notice(kind)); err != nil {
			t.Fatal(err)
		}
		got := s.Wait(t, i+1)[i]
		if got.From != "chat@example.com" || len(got.To) != 1 || got.To[0] != theAddress {
			t.Errorf("%v: from %s to %v", kind, got.From, got.To)
		}
		h := got.Header(t)
		for name, want := range map[string]string{
			"From": `"Chat" <chat@example.com>`, "To": "<" + theAddress + ">", "Auto-Submitted": "auto-generated", "Mime-Version": "1.0",
		} {
			if len(h[name]) != 1 || h.Get(name) != want {
				t.Errorf("%v: %s is %q, want %q", kind, name, h[name], want)
			}
		}
		for name := range h {
			if !strings.Contains(" From To Subject Date Message-Id Auto-Submitted X-Auto-Response-Suppress Mime-Version Content-Type ", " "+name+" ") {
				t.Errorf("%v: there is a header %s", kind, name)
			}
		}
		if _, err := mail.ParseDate(h.Get("Date")); err != nil {
			t.Errorf("%v: %v", kind, err)
		}
		id := h.Get("Message-Id")
		if ids[id] || !strings.HasPrefix(id, "<") || !strings.HasSuffix(id, "@example.com>") {
			t.Errorf("%v: Message-ID %s", kind, id)
		}
		ids[id] = true
		if !strings.HasPrefix(h.Get("Content-Type"), "multipart/alternative;") {
			t.Errorf("%v: it is a %s", kind, h.Get("Content-Type"))
		}
		if !strings.Contains(got.Subject(t), "chat.example.com") || strings.Contains(got.Subject(t), "alice") {
			t.Errorf("%v: the subject is %q", kind, got.Subject(t))
		}
		has := []string{"Hello alice,", "chat.example.com", "https://chat.example.com", "2001:db8::1", "Firefox on Linux", " UTC"}
		if kind == authcore.NoticeResetCode || kind == authcore.NoticeConfirmCode {
			has = append(has, theCode, "10 minutes")
		} else if strings.Contains(got.Text(t)+got.HTML(t), theCode) {
			t.Errorf("%v: it has a code", kind)
		}
		for _, want := range has {
			if !strings.Contains(got.Text(t), want) || !strings.Contains(got.HTML(t), want) {
				t.Errorf("%v: there is no %q in\n%s\n%s", kind, want, got.Text(t), got.HTML(t))
			}
		}
		if strings.Contains(got.Text(t)+got.HTML(t), "eth0") || strings.Contains(string(got.Raw), "{{") {
			t.Errorf("%v:\n%s", kind, got.Raw)
		}
	}
}

// Without an https issuer there is no link at all.
func TestNoLinkWithoutIssuer(t *testing.T) {
	for issuer, service := range map[string]string{"http://chat.example.com": "chat.example.com", "chatgate": "chatgate"} {
		s := smtptest.Start(t, smtptest.Options{})
		m, _ := start(t, Options{Server: server(t, s, Clear), Issuer: issuer})
		for i, kind := range authcore.NoticeKinds() {
			if err := m.Send(t.Context(), notice(kind)); err != nil {
				t.Fatal(err)
			}
			got := s.Wait(t, i+1)[i]
			if both := got.Text(t) + got.HTML(t); strings.Contains(both, "://") || strings.Contains(both, "href") || !strings.Contains(both, service) {
				t.Errorf("%s, %v:\n%s", issuer, kind, both)
			}
		}
	}
}

// What cannot be delivered is said, without the code, the address or the password, and whether trying again is of use.
func TestSendFails(t *testing.T) {
	quote := "<" + theAddress + "> unknown, code " + theCode
	for name, tc := range map[string]struct {
		options smtptest.Options
		replies []smtptest.Reply
		change  func(*Server)
		want    string
		passing bool
	}{
		"sender": {replies: []smtptest.Reply{{Stage: smtptest.Mail, Code: 550, Text: "4.7.1 not you"}}, want: "answered MAIL with 550 5.0.0"},
		"recipient": {
			replies: []smtptest.Reply{{Stage: smtptest.Rcpt, Code: 550, Text: quote}}, want: "answered RCPT with 550 5.0.0",
		},
		"recipient later": {
			replies: []smtptest.Reply{{Stage: smtptest.Rcpt, Code: 451, Text: quote}}, want: "answered RCPT with 451 4.0.0", passing: true,
		},
		"message": {
			replies: []smtptest.Reply{{Stage: smtptest.Data, Code: 554, Text: quote}}, want: "answered the message with 554 5.0.0",
		},
		"message later": {
			replies: []smtptest.Reply{{Stage: smtptest.Data, Code: 452}}, want: "answered the message with 452 4.0.0", passing: true,
		},
		"hung up": {replies: []smtptest.Reply{{Stage: smtptest.Data}}, want: "closed the connection", passing: true},
		"greeting": {
			replies: []smtptest.Reply{{Stage: smtptest.Hello, Code: 421}, {Stage: smtptest.Hello, Code: 421}}, want: "answered EHLO with 421", passing: true,
		},
		"wrong password": {
			options: smtptest.Options{User: "chat", Password: "another"}, change: func(s *Server) { s.Password = thePassword },
			want: "answered AUTH with 535 5.7.8",
		},
		"no password": {
			options: smtptest.Options{User: "chat", Password: "another"}, change: func(s *Server) { s.User = "" }, want: "answered MAIL with 502",
		},
		"no login": {
			options: smtptest.Options{Security: smtptest.TLS, User: "chat", Password: thePassword, Logins: []string{"CRAM-MD5", "NTLM"}},
			want:    "none of SCRAM-SHA-256",
		},
		"no starttls": {change: func(s *Server) { s.Security = StartTLS }, want: "does not offer STARTTLS", passing: true},
		"no tls":      {change: func(s *Server) { s.Security = Implicit }, want: "TLS handshake", passing: true},
		"authority": {
			options: smtptest.Options{Security: smtptest.TLS}, change: func(s *Server) { s.RootCAs = nil }, want: "TLS handshake: tls: failed to verify", passing: true,
		},
		"authority of starttls": {
			options: smtptest.Options{Security: smtptest.StartTLS}, change: func(s *Server) { s.RootCAs = nil }, want: "failed to verify certificate", passing: true,
		},
		"certificate of another": {
			options: smtptest.Options{Security: smtptest.TLS, Name: "mail.example.net"}, want: "failed to verify certificate", passing: true,
		},
		"certificate of another after starttls": {
			options: smtptest.Options{Security: smtptest.StartTLS, Name: "mail.example.net"}, want: "failed to verify certificate", passing: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := smtptest.Start(t, tc.options)
			s.Reply(tc.replies...)
			security := Security("")
			if tc.options.Security == smtptest.Plain {
				security = Clear
			}
			o := server(t, s, security)
			if tc.change != nil {
				tc.change(o)
			}
			m, _ := start(t, Options{Server: o})
			err := m.Send(t.Context(), notice(authcore.NoticeResetCode))
			if err == nil || !strings.Contains(err.Error(), tc.want) || passing(err) != tc.passing {
				t.Errorf("got %v (passing: %v), want %s", err, passing(err), tc.want)
			}
			for _, secret := range []string{theCode, "lice", thePassword, "hunter2", "unknown, code"} {
				if strings.Contains(fmt.Sprint(err), secret) {
					t.Errorf("%q is in the error: %v", secret, err)
				}
			}
			if got := m.Stats(); got != (Stats{Failed: 1}) || len(s.Messages()) != 0 {
				t.Errorf("%+v, %d arrived", got, len(s.Messages()))
			}
		})
	}
}

// A server that says nothing is given up when the time is over, and one that never stops as well.
func TestSlowServer(t *testing.T) {
	accepted := make(chan struct{}, 4)
	addr := tcptest.Serve(t, func(c net.Conn) {
		accepted <- struct{}{}
		_, _ = io.Copy(io.Discard, c)
	})
	for _, security := range []Security{Clear, Implicit} {
		o, err := ParseURL("smtp://"+addr, security)
		if err != nil {
			t.Fatal(err)
		}
		o.Timeout = 1 << 27 // 134 ms
		m, _ := start(t, Options{Server: &o})
		err = m.Send(t.Context(), notice(authcore.NoticeResetCode))
		if err == nil || !strings.Contains(err.Error(), "deadline exceeded") || !passing(err) {
			t.Errorf("%s: %v", security, err)
		}
		<-accepted
	}
}

func TestEndlessServer(t *testing.T) {
	addr := tcptest.Serve(t, func(c net.Conn) {
		for {
			if _, err := io.WriteString(c, strings.Repeat("220-welcome\r\n", 1000)); err != nil {
				return
			}
		}
	})
	o, err := ParseURL("smtp://"+addr, Clear)
	if err != nil {
		t.Fatal(err)
	}
	m, _ := start(t, Options{Server: &o})
	if err := m.Send(t.Context(), notice(authcore.NoticeResetCode)); !errors.Is(err, errMalformed) {
		t.Errorf("%v", err)
	}
}

func TestParseURL(t *testing.T) {
	for text, want := range map[string]Server{
		"smtp://mail.example.com":                          {Host: "mail.example.com", Port: "587", Security: StartTLS},
		"smtps://mail.example.com/":                        {Host: "mail.example.com", Port: "465", Security: Implicit},
		"smtp://chat:p%40ss%3A@mail.example.com:2525":      {Host: "mail.example.com", Port: "2525", Security: StartTLS, User: "chat", Password: "p@ss:"},
		"smtps://chat%40example.com:x@[2001:db8::1]:10465": {Host: "2001:db8::1", Port: "10465", Security: Implicit, User: "chat@example.com", Password: "x"},
	} {
		if got, err := ParseURL(text, ""); err != nil || got.Host != want.Host || got.Port != want.Port || got.Security != want.Security ||
			got.User != want.User || got.Password != want.Password {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"smtp://127.0.0.1", "smtp://[::1]:25", "smtp://localhost", "smtp://u:p@127.9.9.9"} {
		if got, err := ParseURL(text, Clear); err != nil || got.Security != Clear {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for text, want := range map[string]struct {
		security Security
		err      string
	}{
		"mail.example.com":                        {"", "smtp://"},
		"http://hunter2@mail.example.com":         {"", "smtp://"},
		"smtp://":                                 {"", "no host"},
		"smtp://:587":                             {"", "no host"},
		"smtp://mail.example.com:0":               {"", "port"},
		"smtp://mail.example.com:65536":           {"", "port"},
		"smtp://mail.example.com:hunter2":         {"", "malformed"},
		"smtp://hunter2@mail.example.com":         {"", "both a user and a password"},
		"smtp://:hunter2@mail.example.com":        {"", "both a user and a password"},
		"smtp://mail.example.com/hunter2":         {"", "end after the host and port"},
		"smtp://mail.example.com?hunter2":         {"", "end after the host and port"},
		"smtp://mail.example.com?":                {"", "end after the host and port"},
		"smtp://mail.example.com#hunter2":         {"", "end after the host and port"},
		"smtp://mail.example.com":                 {Clear, "on this machine only"},
		"smtp://chat:hunter2@192.0.2.1":           {Clear, "on this machine only"},
		"smtp://chat:hunter2@localhost.evil.test": {Clear, "on this machine only"},
		"smtps://127.0.0.1":                       {Clear, "from the first byte"},
		"smtps://mail.example.com":                {StartTLS, "from the first byte"},
		"smtp://127.0.0.1":                        {"maybe", "starttls, implicit or off"},
		"smtp://mail.example.com\r\nhunter2":      {"", "malformed"},
	} {
		_, err := ParseURL(text, want.security)
		if err == nil || !strings.Contains(err.Error(), want.err) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s with %q: %v, want %s", text, want.security, err, want.err)
		}
	}
	if s := fmt.Sprintf("%v %+v %#v %s", Server{Password: thePassword}, Server{Password: thePassword}, Password(thePassword), Password(thePassword)); strings.Contains(s, "hunter2") {
		t.Errorf("a password prints: %s", s)
	}
}
