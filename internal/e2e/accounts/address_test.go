//go:build linux

package accounts

import (
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/internal/smtptest"
)

// Addresses that are made to reach somebody else, or to write a header (MSG-02), and whom a message goes to where one is
// taken for an address after all.
var hostileAddresses = map[string]string{
	"plain@example.com":                         "plain@example.com",
	"tag+one@EXAMPLE.com":                       "tag+one@example.com",
	"idn@bücher.example":                        "idn@xn--bcher-kva.example",
	"percent%0d%0aBcc:victim@example.com":       "",
	"crlf@example.com\r\nBcc: v@example.com":    "",
	"lf@example.com\nBcc: v@example.com":        "",
	"cr@example.com\rBcc: v@example.com":        "",
	"\r\nto@example.com":                        "",
	"one@example.com,two@example.com":           "",
	"one@example.com;two@example.com":           "",
	"one@example.com two@example.com":           "",
	"one@example.com>,<two@example.com":         "",
	`"x> <e@y"@example.com`:                     "",
	`"quoted"@example.com`:                      "",
	"Name <named@example.com>":                  "",
	"<angle@example.com>":                       "",
	"comment(x)@example.com":                    "",
	"comment@(x)example.com":                    "",
	"literal@[127.0.0.1]":                       "",
	"literal@[IPv6:::1]":                        "",
	"number@127.0.0.1":                          "",
	"a@b@corp.example":                          "",
	"@example.com":                              "",
	"local@":                                    "",
	"local@nodot":                               "",
	".dot@example.com":                          "",
	"dot.@example.com":                          "",
	"two..dots@example.com":                     "",
	"space @example.com":                        "",
	"tab\t@example.com":                         "",
	"ünicode@example.com":                       "",
	"right\u202e@example.com":                   "",
	"zero\u200bwidth@example.com":               "",
	strings.Repeat("a", 400) + "@example.com":   "",
	"long@" + strings.Repeat("a.", 200) + "com": "",
	"mailto:scheme@example.com":                 "",
	"route%example.com@relay.example":           "route%example.com@relay.example",
}

// Whatever somebody gives for an address, a message goes to exactly one recipient, the one that the account has, and its
// headers are ours.
func TestHostileAddresses(t *testing.T) {
	sink := smtptest.Start(t, smtptest.Options{Security: smtptest.StartTLS, User: "chat", Password: "letter-box-9"})
	url := strings.Replace(sink.URL(), "letter-box-9", "{env.SMTP_PASSWORD}", 1)
	t.Setenv("SMTP_PASSWORD", "letter-box-9")
	d := one(t, options{mail: "smtp " + url, mailMore: "ca " + sink.CAFile})
	var want []string
	for claimed, canonical := range hostileAddresses {
		name := d.name()
		path, body := "/api/auth/register", object{"username": name, "email": claimed, "password": password, "inviteCode": ""}
		if len(want)%4 == 2 {
			path, body = "/users/register", object{"username": name, "email": claimed, "password": password}
		}
		a := d.call(d.node(0), http.MethodPost, path, "", body)
		if canonical == "" {
			if a.status < 400 || a.status >= 500 {
				t.Errorf("%q: %v", claimed, a)
			}
			if _, err := d.db.AccountByUsername(t.Context(), authcore.Username(name)); err == nil {
				t.Errorf("%q made an account", claimed)
			}
			continue
		}
		if a.status != http.StatusCreated && a.status != http.StatusOK {
			t.Errorf("%q: %v", claimed, a)
			continue
		}
		d.requestOTP(t, 0, name)
		want = append(want, canonical, canonical) // a code to confirm it, and the one that was asked for
	}
	var got []string
	for _, m := range sink.Wait(t, len(want)) {
		if len(m.To) != 1 {
			t.Fatalf("a message has the recipients %q", m.To)
		}
		got = append(got, m.To[0])
		h := m.Header(t)
		to, err := mail.ParseAddressList(h.Get("To"))
		if err != nil || len(to) != 1 || to[0].Address != m.To[0] {
			t.Errorf("To is %q, of a message to %s", h.Get("To"), m.To[0])
		}
		for _, name := range []string{"Cc", "Bcc", "Reply-To", "Sender", "Resent-To"} {
			if v := h.Get(name); v != "" {
				t.Errorf("a message has %s: %s", name, v)
			}
		}
		if h.Get("From") != "<chat@example.com>" || m.From != "chat@example.com" || h.Get("Auto-Submitted") != "auto-generated" || !m.TLS {
			t.Errorf("From %q, envelope %q, Auto-Submitted %q, TLS %v", h.Get("From"), m.From, h.Get("Auto-Submitted"), m.TLS)
		}
		if s := m.Subject(t); s != "Your code for chat.example.com" && s != "Confirm your address for chat.example.com" {
			t.Errorf("the subject is %q", m.Subject(t))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("messages went to %q, want %q", got, want)
	}
}
