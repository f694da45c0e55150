package transcript

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/smtptest"
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
	m := smtptest.Message{Raw: raw}
	to, err := m.Header(t).AddressList("To")
	if err != nil || len(to) != 1 {
		t.Fatalf("%s: To %q, %v", file, m.Header(t).Get("To"), err)
	}
	if to[0].Address != address {
		return ""
	}
	return mailCode.FindString(m.Text(t))
}
