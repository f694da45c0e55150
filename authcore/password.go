package authcore

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Password is a claimed or chosen password. It does not print. The text is behind a pointer, so that fmt prints only an
// address where it ignores Format, as in unexported fields and for a wrong verb.
type Password struct{ text *string }

// NewPassword wraps a password as the client sent it.
func NewPassword(text string) Password { return Password{&text} }

// Format keeps the password out of logs and errors, for every verb.
func (Password) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[password]")) }

// MarshalJSON keeps it out of JSON.
func (Password) MarshalJSON() ([]byte, error) { return []byte(`"[password]"`), nil }

// The bounds of a password, in code points after normalisation (NIST SP 800-63B-4, section 3.1.1.2).
const (
	DefaultMinPassword = 8
	MaxPassword        = 256
)

// normal returns the form to hash (NFC, so that two keyboards agree) and whether it can be a password. A text that cannot
// is treated as a wrong password, without being hashed.
func (p Password) normal() ([]byte, bool) {
	if p.text == nil || len(*p.text) > 4*MaxPassword || !utf8.ValidString(*p.text) || strings.ContainsRune(*p.text, 0) {
		return nil, false
	}
	n := norm.NFC.String(*p.text)
	if c := utf8.RuneCountInString(n); c == 0 || c > MaxPassword {
		return nil, false
	}
	return []byte(n), true
}

// check applies the policy for a new password: its length, and neither a common password nor the username.
func (p Password) check(minimum int, name Username) error {
	n, ok := p.normal()
	if c := utf8.RuneCount(n); !ok || c < minimum {
		return Errorf(KindWeakPassword, "a password has %d to %d characters of valid UTF-8", minimum, MaxPassword)
	}
	low := strings.ToLower(string(n))
	if rest, ok := strings.CutPrefix(low, string(name)); ok && strings.Trim(rest, "0123456789!") == "" {
		return Errorf(KindWeakPassword, "the password is the username")
	}
	if commonPasswords()[low] {
		return Errorf(KindWeakPassword, "the password is one of the most common ones")
	}
	first, _ := utf8.DecodeRune(n)
	if strings.Trim(string(n), string(first)) == "" {
		return Errorf(KindWeakPassword, "the password is one character repeated")
	}
	return nil
}

//go:embed commonpasswords.txt
var commonPasswordList string

// commonPasswords has the passwords of the list and those that chatgate's name suggests. It is made when the first
// password is chosen.
var commonPasswords = sync.OnceValue(func() map[string]bool {
	m := make(map[string]bool)
	for p := range strings.FieldsSeq(commonPasswordList + " chatgate chatgate1 chatgate123") {
		m[p] = true
	}
	return m
})
