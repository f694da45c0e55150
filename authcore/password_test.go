package authcore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// PWD-05: the policy is in code points after NFC, and nothing is cut off.
func TestPWD05Policy(t *testing.T) {
	cases := []struct {
		name, password string
		ok             bool
	}{
		{"plain", "correct horse", true},
		{"empty", "", false},
		{"7", "tr0ub4d", false},
		{"8", "tr0ub4dr", true},
		{"7 in 14 bytes", "äöüßéèê", false},
		{"8 of two bytes", "äöüßéèêà", true},
		{"7 emoji", "😀😁😂😃😄😅😆", false},
		{"8 emoji", "😀😁😂😃😄😅😆😇", true},
		{"8 only before NFC", "a\u0308o\u0308u\u0308e\u0301", false},
		{"8 after NFC", "a\u0308o\u0308u\u0308e\u0301a\u0300e\u0300i\u0300o\u0300", true},
		{"64", strings.Repeat("ab", 32), true},
		{"256", strings.Repeat("ab", 128), true},
		{"257", strings.Repeat("ab", 128) + "c", false},
		{"256 of four bytes", strings.Repeat("😀😁", 128), true},
		{"257 of four bytes", strings.Repeat("😀😁", 128) + "a", false},
		{"1 kB and one", strings.Repeat("ab", 512) + "c", false},
		{"1 MB", strings.Repeat("ab", 1<<19), false},
		{"spaces within", "a b c d e", true},
		{"spaces around", "  abcdef  ", true},
		{"NUL", "correct\x00horse", false},
		{"bad UTF-8", "correct\xffhorse", false},
		{"surrogate", "correct\xed\xa0\x80horse", false},
		{"no composition rules", "zqxjkvbpwm", true},
		{"common", "password", false},
		{"common in upper case", "PASSWORD", false},
		{"common, longer", "password1", false},
		{"common, digits", "12345678", false},
		{"ours", "chatgate123", false},
		{"username", "margarete", false},
		{"username in upper case", "MargareTE", false},
		{"username and digits", "margarete2026!", false},
		{"username within", "margarete-lives-here", true},
		{"one letter", "aaaaaaaaaaaa", false},
		{"one emoji", strings.Repeat("😀", 12), false},
		{"one space", strings.Repeat(" ", 12), false},
		{"one combined letter", strings.Repeat("a\u0308", 12), false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := NewPassword(c.password).check(DefaultMinPassword, "margarete")
			if c.ok && err != nil {
				t.Error(err)
			}
			if !c.ok {
				wantKind(t, "refused", err, KindWeakPassword)
			}
		})
	}
	if err := NewPassword("margarete7!!1").check(8, "margarete7"); err == nil {
		t.Error("a name that ends in a digit was not found in the password")
	}
	if err := NewPassword("tr0ub4dr").check(9, "alice"); err == nil {
		t.Error("the configured minimum does not count")
	}
	if err := (Password{}).check(8, "alice"); KindOf(err) != KindWeakPassword {
		t.Errorf("no password at all: %v", err)
	}
}

const secret = "sesame-opens-nothing"

// wrongVerb hides a verb from go vet, which would not let the mistake be made.
func wrongVerb(format string, args []any) string { return fmt.Sprintf(format, args...) }

// No way of printing, right or wrong, shows a secret.
func TestSecretsDoNotPrint(t *testing.T) {
	p := NewPassword(secret)
	type visible struct{ P Password }
	type hidden struct{ p Password }
	values := map[string]any{
		"password": p, "pointer to password": &p, "field": visible{p}, "unexported field": hidden{p}, "slice": []Password{p},
		"map": map[string]Password{"p": p}, "registration": Registration{Password: p}, "credentials": &Credentials{Password: p},
		"hash": PasswordHash(secret), "account": Account{PasswordHash: secret}, "accounts": []Account{{PasswordHash: secret}},
		"one-time code": OneTimeCode(secret), "invite": InviteCode(secret), "notice": &Notice{Code: secret}, "invites": []InviteCode{secret},
		"invited": Registration{Invite: secret}, "reset": PasswordReset{Code: secret, Password: p}, "pointer to reset": &PasswordReset{Code: secret},
		"refreshing": Refreshing{Token: secret}, "request": ResetRequest{ClaimedName: "alice"},
		"unverified token": UnverifiedToken(secret), "signed token": SignedToken(secret), "grant": Grant{Token: secret},
	}
	for name, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%+q", "%x", "%X", "% x", "%d", "%t", "%c", "%U", "%b", "%e", "%5.1v", "%T", "%z"} {
			if out := wrongVerb(verb, []any{v}); strings.Contains(out, secret) || strings.Contains(strings.ToLower(strings.ReplaceAll(out, " ", "")), fmt.Sprintf("%x", secret)) {
				t.Errorf("%s with %s: %s", name, verb, out)
			}
		}
		if out := fmt.Sprint(v) + fmt.Sprintln("x", v) + wrongVerb("no verb", []any{v}); strings.Contains(out, secret) {
			t.Errorf("%s printed: %s", name, out)
		}
		if out := errors.Join(fmt.Errorf("wrapped: %v", v)).Error(); strings.Contains(out, secret) {
			t.Errorf("%s in an error: %s", name, out)
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		if name != "signed token" && name != "grant" { // whose owner is told it in JSON
			slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
			out, err := json.Marshal(v)
			log.Write(out)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if strings.Contains(log.String(), secret) {
			t.Errorf("%s logged: %s", name, log.String())
		}
	}
	// A string type cannot help being printed by %p and %w, which go vet refuses. A password can.
	for _, verb := range []string{"%p", "%w"} {
		for _, name := range []string{"password", "field", "unexported field", "registration", "credentials"} {
			if out := wrongVerb(verb, []any{values[name]}); strings.Contains(out, secret) {
				t.Errorf("%s with %s: %s", name, verb, out)
			}
		}
	}
}
