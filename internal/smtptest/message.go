package smtptest

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"
	"testing"
)

// Message is what was sent.
type Message struct {
	Hello string   // what the client called itself
	User  string   // that logged in
	TLS   bool     // whether it came over TLS
	From  string   // of the envelope
	To    []string // of the envelope, every one
	Raw   []byte   // with CRLF
}

// Header returns the message's own header.
func (m Message) Header(t testing.TB) mail.Header {
	t.Helper()
	return m.parse(t).Header
}

// Subject returns the subject as people see it.
func (m Message) Subject(t testing.TB) string {
	t.Helper()
	s, err := new(mime.WordDecoder).DecodeHeader(m.Header(t).Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Text returns the text/plain part.
func (m Message) Text(t testing.TB) string {
	t.Helper()
	return m.part(t, "text/plain")
}

// HTML returns the text/html part.
func (m Message) HTML(t testing.TB) string {
	t.Helper()
	return m.part(t, "text/html")
}

func (m Message) parse(t testing.TB) *mail.Message {
	t.Helper()
	msg, err := mail.ReadMessage(bytes.NewReader(m.Raw))
	if err != nil {
		t.Fatalf("%v in:\n%s", err, m.Raw)
	}
	return msg
}

// part returns the one part of a type, decoded.
func (m Message) part(t testing.TB, want string) string {
	t.Helper()
	msg := m.parse(t)
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil {
		t.Fatalf("%v in:\n%s", err, m.Raw)
	}
	if kind == want {
		return decode(t, textproto.MIMEHeader(msg.Header), msg.Body)
	}
	if !strings.HasPrefix(kind, "multipart/") {
		t.Fatalf("it is a %s, not a %s:\n%s", kind, want, m.Raw)
	}
	parts := multipart.NewReader(msg.Body, params["boundary"])
	var found []string
	for {
		p, err := parts.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, m.Raw)
		}
		if kind, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type")); kind == want {
			found = append(found, decode(t, p.Header, p))
		}
	}
	if len(found) != 1 {
		t.Fatalf("there are %d parts of %s:\n%s", len(found), want, m.Raw)
	}
	return found[0]
}

func decode(t testing.TB, h textproto.MIMEHeader, body io.Reader) string {
	t.Helper()
	switch strings.ToLower(h.Get("Content-Transfer-Encoding")) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(raw), "\r\n", "\n")
}
