package transcript

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

var mailCode = regexp.MustCompile(`\b[0-9]{6}\b`)

// mailbox returns a source of the codes that were sent to an address, each of which it has once, the oldest first. It
// reads the directory of a gateway whose mail is "file", where names are in the order of time.
func mailbox(dir string) func(testing.TB, string) string {
	read := make(map[string]bool)
	return func(t testing.TB, address string) string {
		t.Helper()
		code := ""
		gatetest.Eventually(t, "a message with a code to "+address, func() bool {
			files, err := filepath.Glob(filepath.Join(dir, "*.eml"))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				if read[file] {
					continue
				}
				if code = MailCode(t, file, address); code != "" {
					read[file] = true
					return true
				}
			}
			return false
		})
		return code
	}
}

// MailCode returns the code of six digits in the text of a message to an address, or nothing.
func MailCode(t testing.TB, file, address string) string {
	t.Helper()
	raw, err := os.ReadFile(file) //nolint:gosec // a test's own
	if err != nil {
		t.Fatal(err)
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	to, err := m.Header.AddressList("To")
	if err != nil || len(to) != 1 {
		t.Fatalf("%s: To %q, %v", file, m.Header.Get("To"), err)
	}
	if to[0].Address != address {
		return ""
	}
	return mailCode.FindString(mailText(t, m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), m.Body))
}

// mailText returns the first text/plain part.
func mailText(t testing.TB, contentType, encoding string, body io.Reader) string {
	t.Helper()
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatalf("a message of type %q: %v", contentType, err)
	}
	if strings.HasPrefix(media, "multipart/") {
		for parts := multipart.NewReader(body, params["boundary"]); ; {
			p, err := parts.NextRawPart()
			if err == io.EOF {
				return ""
			}
			if err != nil {
				t.Fatal(err)
			}
			if text := mailText(t, p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p); text != "" {
				return text
			}
		}
	}
	if media != "text/plain" {
		return ""
	}
	switch strings.ToLower(encoding) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
