package mailer

import (
	"bytes"
	"crypto/rand"
	"errors"
	"net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/chatgate/chatgate/authcore"
)

// envelope is a complete message with its sender and its one recipient.
type envelope struct {
	kind     authcore.NoticeKind
	from, to string
	raw      []byte // with CRLF
}

// domain returns the domain of the recipient, the only part of it in logs.
func (m envelope) domain() string { return m.to[strings.LastIndexByte(m.to, '@')+1:] }

// Sender is the sender of all messages.
type Sender struct {
	name    string
	address authcore.Email
}

// ParseSender parses an address, or "Name <address>".
func ParseSender(text string) (Sender, error) {
	bad := errors.New("from must be an address such as chat@example.com, or a name with one: Chat <chat@example.com>")
	if strings.ContainsAny(text, "\r\n") {
		return Sender{}, bad
	}
	a, err := mail.ParseAddress(text)
	if err != nil {
		return Sender{}, bad
	}
	address, err := authcore.ParseEmail(a.Address)
	if err != nil {
		return Sender{}, bad
	}
	return Sender{clean(a.Name), address}, nil
}

// String returns the sender in the form of a header.
func (s Sender) String() string {
	return (&mail.Address{Name: s.name, Address: string(s.address)}).String()
}

func (s Sender) domain() string {
	_, domain, _ := strings.Cut(string(s.address), "@")
	return domain
}

// compose makes the message for a notice.
func (m *Mailer) compose(n authcore.Notice) (envelope, error) {
	fail := func(doing string) (envelope, error) { return envelope{}, &failure{doing: doing, permanent: true} }
	if to, err := authcore.ParseEmail(string(n.To)); err != nil || to != n.To {
		return fail("the address of a notice is not in its canonical form") // the header takes no other
	}
	subject, text, html, err := m.templates.execute(n.Kind, dataOf(n, m.issuer))
	if err != nil {
		return fail("a template failed, though it worked with sample data; check its conditions") // the error might show the code
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(&mail.Address{Name: m.sender.name, Address: string(m.sender.address)})
	msg.ToMailAddress(&mail.Address{Address: string(n.To)})
	msg.Subject(subject)
	msg.SetDateWithValue(m.now().UTC().Truncate(time.Second))
	msg.SetMessageIDWithValue(rand.Text() + "@" + m.sender.domain())
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetGenHeader("X-Auto-Response-Suppress", "All")
	msg.SetBodyString(gomail.TypeTextPlain, text)
	msg.AddAlternativeString(gomail.TypeTextHTML, html)
	var raw bytes.Buffer
	if _, err := msg.WriteTo(&raw); err != nil {
		return fail("cannot encode a message")
	}
	return envelope{kind: n.Kind, from: string(m.sender.address), to: string(n.To), raw: raw.Bytes()}, nil
}
