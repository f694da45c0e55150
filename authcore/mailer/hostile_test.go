package mailer

import (
	"strings"
	"testing"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/internal/smtptest"
)

// hostile are addresses that have been used against mail programs (MSG-02).
var hostile = []string{
	"a@example.com\r\nBcc: b@example.com", "a@example.com\nBcc: b@example.com", "a\r\n@example.com", "a@example.com\r\n", "\ra@example.com",
	"a@example.com%0d%0aBcc:b@example.com", "a@exa%0d%0ample.com", "a@example.com,b@example.com", "a@example.com;b@example.com",
	"a@example.com, b@example.com", "a@example.com b@example.com", `"x> <e@y"@z.example.com`, `"x> <e@y"@z`, "Name <a@example.com>",
	"<a@example.com>", "a@example.com>", "a(comment)@example.com", "a@(comment)example.com", "a@[127.0.0.1]", "a@[IPv6:::1]", "a@127.0.0.1",
	`"a b"@example.com`, `a\@example.com`, "a@b@example.com", "@b.example.com:a@example.com", "a@", "@example.com", "a@localhost", "",
	"a@example..com", ".a@example.com", "a.@example.com", "a..b@example.com", "a@-example.com", "a@example.com.", "a\x00@example.com",
	"a\u202e@example.com", "ä@example.com", "a@exam ple.com", "a\t@example.com", "a@\xff.com", "a@example.com SIZE=1", "a@example.com> NOTIFY=NEVER",
	strings.Repeat("a", 400) + "@example.com", "a@" + strings.Repeat("b", 63) + strings.Repeat(".example", 50) + ".com", strings.Repeat("a", 65) + "@example.com",
	"=?utf-8?q?a=40b.com=3e_=3c?=@[x]", "mailto:a@example.com",
}

// Whatever is claimed to be an address is refused, or is one in its canonical form: then it is the one recipient.
func TestHostileAddresses(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{})
	m, _ := start(t, Options{Server: server(t, s, Clear)})
	sent := 0
	accepted := []string{"o'brien+x@example.com", "!#$%&'*/=?^_`{|}~-@example.com", "a@BÜCHER.example", "a%0d%0ab@example.com", "=?utf-8?q?x?=@example.com"}
	for _, claimed := range append(append([]string(nil), hostile...), accepted...) {
		email, err := authcore.ParseEmail(claimed)
		if err != nil {
			if authcore.KindOf(err) != authcore.KindInvalidEmail {
				t.Errorf("%q: %v", claimed, err)
			}
			// Nor would it be sent to if it had got into a database.
			n := notice(authcore.NoticeResetCode)
			n.To = authcore.Email(claimed)
			if err := m.Send(t.Context(), n); err == nil || passing(err) {
				t.Errorf("%q was sent to: %v", claimed, err)
			}
			continue
		}
		n := notice(authcore.NoticeResetCode)
		n.To = email
		if err := m.Send(t.Context(), n); err != nil {
			t.Errorf("%q: %v", claimed, err)
			continue
		}
		sent++
		got := s.Wait(t, sent)[sent-1]
		if len(got.To) != 1 || got.To[0] != string(email) {
			t.Errorf("%q: sent to %q, want %q", claimed, got.To, email)
		}
		checkHeader(t, claimed, got, string(email))
	}
	if sent < len(accepted) {
		t.Errorf("%d addresses were good, want %d at least", sent, len(accepted))
	}
}

// checkHeader sees to it that there is nothing in a header that a user could have written, but for the address.
func checkHeader(t *testing.T, what string, got smtptest.Message, to string) {
	t.Helper()
	h := got.Header(t)
	names := 0
	for name := range h {
		names++
		if len(h[name]) != 1 {
			t.Errorf("%q: there are %d %s", what, len(h[name]), name)
		}
	}
	addrs, err := h.AddressList("To")
	if err != nil || len(addrs) != 1 || addrs[0].Address != to || addrs[0].Name != "" {
		t.Errorf("%q: To is %q, %v", what, h.Get("To"), err)
	}
	if names != 9 || h.Get("Bcc") != "" || h.Get("Cc") != "" || got.Subject(t) != "Your code for chat.example.com" {
		t.Errorf("%q: the header is %q", what, h)
	}
	header, _, _ := strings.Cut(string(got.Raw), "\r\n\r\n")
	for _, c := range []byte(header) {
		if c != '\r' && c != '\n' && (c < ' ' || c > '~') {
			t.Errorf("%q: byte %#x in the header:\n%s", what, c, header)
		}
	}
}

// What people and programs call themselves is in the bodies alone, and does nothing there.
func TestHostileNames(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{})
	m, _ := start(t, Options{Server: server(t, s, Clear)})
	for i, text := range []string{
		"x\r\nBcc: evil@example.net", "x\nSubject: evil\n\nevil", "x\r\n.\r\nMAIL FROM:<evil@example.net>", "<b>x</b>", "<script>alert(1)</script>",
		`"><img src=https://evil.example.net/x onerror=alert(1)>`, "https://evil.example.net/login", "www.evil.example.net", "evil.example.net",
		"javascript:alert(1)", "{{.Code}}", "x\u202egnp.exe", "x\x00\x1b[2J\x7f", "a\u2028b\u2029c\u0085d", "x\xff\xfe", "--boundary", strings.Repeat("<a>", 500),
		"=?utf-8?q?x?=", "evil@example.net", "\u202e", "\u200b\u2066x",
	} {
		n := notice(authcore.NoticeResetCode)
		n.Username, n.Device = authcore.Username(text), text
		if err := m.Send(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		got := s.Wait(t, i+1)[i]
		if len(got.To) != 1 || got.To[0] != theAddress {
			t.Errorf("%q: sent to %q", text, got.To)
		}
		checkHeader(t, text, got, theAddress)
		body, html := got.Text(t), got.HTML(t)
		for _, r := range strings.ReplaceAll(body, "\n", "") {
			if r < ' ' || r >= 0x7f && r < 0xa0 || strings.ContainsRune("\u2028\u2029\u202e\u2066\u200b\ufffd", r) {
				t.Errorf("%q: %q is in the text", text, r)
			}
		}
		if lines := strings.Count(body, "\n"); lines != strings.Count(plain(t), "\n") {
			t.Errorf("%q has changed the lines of\n%s", text, body)
		}
		for _, tag := range []string{"<b>", "<script", "<img", "<a>"} {
			if strings.Contains(html, tag) {
				t.Errorf("%q: there is a %s in\n%s", text, tag, html)
			}
		}
		if n := strings.Count(html, "href="); n != 1 || !strings.Contains(html, `<a href="https://chat.example.com">`) {
			t.Errorf("%q: there are %d links in\n%s", text, n, html)
		}
		if strings.Contains(body, "evil.example") || strings.Contains(body, "evil@") || strings.Count(body, "://") != 1 {
			t.Errorf("%q: a name or a device is a link in\n%s", text, body)
		}
		if strings.Count(body, theCode) != 1 {
			t.Errorf("%q: the code is there %d times", text, strings.Count(body, theCode))
		}
		if len(body) > 3000 {
			t.Errorf("the text has %d bytes", len(body))
		}
	}
}

// plain is the text of the notice as it should be.
func plain(t *testing.T) string {
	t.Helper()
	templates, err := LoadTemplates("")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _, err := templates.execute(authcore.NoticeResetCode, dataOf(notice(authcore.NoticeResetCode), parseIssuer("https://chat.example.com")))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestParseSender(t *testing.T) {
	for text, want := range map[string]Sender{
		"chat@example.com":                    {"", "chat@example.com"},
		"Chat <chat@EXAMPLE.com>":             {"Chat", "chat@example.com"},
		`"The, Chat" <chat@example.com>`:      {"The, Chat", "chat@example.com"},
		"=?utf-8?q?caf=C3=A9?= <c@x.example>": {"café", "c@x.example"},
		"=?utf-8?q?a=0D=0Ab?= <c@x.example>":  {"a b", "c@x.example"},
	} {
		if got, err := ParseSender(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range append([]string{"Chat", "a@example.com, b@example.com", "Chat <chat@localhost>", "Chat <chat@example.com>\r\nBcc: x@example.com"}, hostile...) {
		switch text {
		case "Name <a@example.com>", "<a@example.com>", "a@example.com\r\n", "a(comment)@example.com", "a@(comment)example.com":
			continue // a sender has a name, and is the operator's own
		}
		if got, err := ParseSender(text); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}
