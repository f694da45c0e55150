//go:build linux

package accounts

import (
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/smtptest"
)

// message is an e-mail as it was written.
type message struct {
	to, subject, text string
}

// messages returns what was sent to an address so far, the oldest first.
func (d *deployment) messages(t testing.TB, to string) []message {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(d.mail, "*.eml"))
	must(t, err)
	type dated struct {
		message
		at time.Time
	}
	var all []dated
	for _, f := range files {
		info, err := os.Stat(f)
		must(t, err)
		raw, err := os.ReadFile(f)
		must(t, err)
		m := smtptest.Message{Raw: raw}
		addr, err := mail.ParseAddress(m.Header(t).Get("To"))
		must(t, err)
		if addr.Address != to {
			continue
		}
		all = append(all, dated{message{addr.Address, m.Subject(t), m.Text(t)}, info.ModTime()})
	}
	slices.SortStableFunc(all, func(a, b dated) int { return a.at.Compare(b.at) })
	var out []message
	for _, m := range all {
		out = append(out, m.message)
	}
	return out
}

var sixDigits = regexp.MustCompile(`\b[0-9]{6}\b`)

// What the subject of a message with a code begins with.
const (
	resetting  = "Your code"
	confirming = "Confirm your address"
)

// code waits for the n-th code to choose a password with that is sent to an address.
func (d *deployment) code(t testing.TB, to string, n int) string {
	t.Helper()
	return d.coded(t, to, resetting, n)
}

// coded waits for the n-th code of a kind.
func (d *deployment) coded(t testing.TB, to, kind string, n int) string {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		var codes []string
		for _, m := range d.messages(t, to) {
			if c := sixDigits.FindString(m.text); c != "" && strings.HasPrefix(m.subject, kind) {
				codes = append(codes, c)
			}
		}
		if len(codes) >= n {
			return codes[n-1]
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s was sent %d codes, waiting for %d", to, len(codes), n)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
