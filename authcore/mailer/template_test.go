package mailer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/authcore"
)

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Only what is there is replaced.
func TestOwnTemplates(t *testing.T) {
	dir := write(t, map[string]string{
		"reset-code.subject": "Code\r\nBcc: {{.Service}}\n", "reset-code.html": "<p>{{.Username}} {{.Code}} {{.Device}}</p>",
		"README.md": "how to write templates", "new-device.txt~": "{{",
	})
	templates, err := LoadTemplates(dir)
	if err != nil {
		t.Fatal(err)
	}
	n := notice(authcore.NoticeResetCode)
	n.Username = "<alice>"
	subject, text, html, err := templates.execute(n.Kind, dataOf(n, parseIssuer("https://chat.example.com")))
	if err != nil {
		t.Fatal(err)
	}
	if subject != "Code Bcc: chat.example.com" || html != "<p>&lt;alice&gt; 012345 Firefox on Linux</p>" || !strings.Contains(text, "good for 10 minutes") {
		t.Errorf("%q\n%s\n%s", subject, text, html)
	}
}

func TestBadTemplates(t *testing.T) {
	for name, tc := range map[string]struct{ file, text, want string }{
		"syntax of text":              {"reset-code.txt", "{{.Username", "unclosed action"},
		"syntax of html":              {"reset-code.html", "{{if}}", "missing value for if"},
		"syntax of subject":           {"token-theft.subject", "{{end}}", "unexpected {{end}}"},
		"field of text":               {"new-device.txt", "a\nb {{.Usrname}}", "Usrname"},
		"field of html":               {"new-device.html", "{{.Password}}", "Password"},
		"field without an issuer":     {"new-device.html", "x {{if not .Issuer}}{{.Nope}}{{end}}", "Nope"},
		"name in a subject":           {"new-device.subject", "Hello {{.Username}}", "Username"},
		"code in a subject":           {"reset-code.subject", "{{.Code}}", "Code"},
		"empty subject":               {"new-device.subject", " \n", "the subject is empty"},
		"empty text":                  {"new-device.txt", "\n", "the message is empty"},
		"html that cannot be escaped": {"new-device.html", "<a href={{.Issuer}}{{if .Code}}\"{{end}}>", "new-device.html"},
		"another kind":                {"reset_code.txt", "x", "belongs to no message"},
		"a kind in capitals":          {"Reset-Code.html", "x", "belongs to no message"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{tc.file: tc.text})
			_, err := LoadTemplates(dir)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), filepath.Join(dir, tc.file)) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want %s of %s", err, tc.want, tc.file)
			}
		})
	}
	if _, err := LoadTemplates(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("there is no directory, and no error")
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "reset-code.txt"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadTemplates(dir); err == nil || !strings.Contains(err.Error(), "reset-code.txt") {
		t.Errorf("a directory is no template: %v", err)
	}
}

func TestOptions(t *testing.T) {
	good := sender(t, "chat@example.com")
	for name, o := range map[string]Options{
		"no sender":      {Dir: "x"},
		"nowhere to go":  {From: good},
		"two ways":       {From: good, Dir: "x", Server: &Server{}},
		"negative queue": {From: good, Dir: "x", Queue: -1},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
