package authcore

import (
	"bytes"
	"strings"
	"testing"
)

// MSG-02: what could be read as more than one address, or as more than an address, is none.
func TestMSG02ParseEmail(t *testing.T) {
	long := strings.Repeat("a", 63)
	cases := []struct{ name, claimed, want string }{
		{"plain", "alice@example.com", "alice@example.com"},
		{"domain in upper case", "alice@EXAMPLE.com", "alice@example.com"},
		{"local part keeps its case", "Alice@example.com", "Alice@example.com"},
		{"dots and plus", "a.b+c@example.com", "a.b+c@example.com"},
		{"atext", "!#$%&'*+/=?^_`{|}~-@example.com", "!#$%&'*+/=?^_`{|}~-@example.com"},
		{"IDN", "alice@bücher.example", "alice@xn--bcher-kva.example"},
		{"IDN in upper case", "alice@BÜCHER.example", "alice@xn--bcher-kva.example"},
		{"64 in the local part", strings.Repeat("a", 64) + "@example.com", strings.Repeat("a", 64) + "@example.com"},

		{"empty", "", ""},
		{"no at", "alice", ""},
		{"no local part", "@example.com", ""},
		{"no domain", "alice@", ""},
		{"two at", "a@b@corp.com", ""},
		{"no dot in the domain", "alice@localhost", ""},
		{"65 in the local part", strings.Repeat("a", 65) + "@example.com", ""},
		{"long label", "a@" + long + "a.com", ""},
		{"longer than 254", "alice@" + strings.Join([]string{long, long, long, long}, "."), ""},
		{"longer than 254 as A-labels", strings.Repeat("a", 64) + "@" + strings.Repeat("ü.", 30) + "example", ""},
		{"400 characters", strings.Repeat("a", 390) + "@b.example", ""},
		{"CR LF", "alice@example.com\r\nBcc: eve@example.com", ""},
		{"CR LF in the local part", "alice\r\n@example.com", ""},
		{"LF within", "alice@exam\nple.com", ""},
		{"LF behind", "alice@example.com\n", "alice@example.com"},
		{"CR LF behind", "alice@example.com\r\n", "alice@example.com"},
		{"CR LF before", "\r\nalice@example.com", ""},
		{"escaped CR LF", "alice@example.com%0d%0aBcc:eve@example.com", ""},
		{"list", "alice@example.com,eve@example.com", ""},
		{"list with semicolon", "alice@example.com;eve@example.com", ""},
		{"list with space", "alice@example.com eve@example.com", ""},
		{"quoted", `"x> <e@y"@z.example`, ""},
		{"quoted, harmless", `"alice"@example.com`, ""},
		{"with a name", "Name <a@b.example>", ""},
		{"in brackets", "<a@b.example>", ""},
		{"comment", "alice(comment)@example.com", ""},
		{"comment in the domain", "alice@(comment)example.com", ""},
		{"literal", "alice@[127.0.0.1]", ""},
		{"IPv6 literal", "alice@[IPv6:::1]", ""},
		{"address as domain", "alice@127.0.0.1", ""},
		{"full-width at", "alice＠example.com", ""},
		{"source route", "@a.example:alice@example.com", ""},
		{"group", "g:alice@example.com;", ""},
		{"dot first", ".alice@example.com", ""},
		{"dot last", "alice.@example.com", ""},
		{"two dots", "a..b@example.com", ""},
		{"dots in the domain", "a@b..example", ""},
		{"dot after the domain", "a@b.example.", ""},
		{"dot before the domain", "a@.b.example", ""},
		{"hyphen first", "a@-b.example", ""},
		{"underscore in the domain", "a@b_c.example", ""},
		{"space before", " alice@example.com", "alice@example.com"},
		{"space behind", "alice@example.com ", "alice@example.com"},
		{"no-break space behind", "alice@example.com\u00a0", "alice@example.com"},
		{"spaces around", " \t alice@example.com \t ", "alice@example.com"},
		{"space before the at", "alice @example.com", ""},
		{"space behind the at", "alice@ example.com", ""},
		{"NUL", "alice\x00@example.com", ""},
		{"NUL in the domain", "alice@example.com\x00", ""},
		{"tab", "alice\t@example.com", ""},
		{"8-bit local part", "älice@example.com", ""},
		{"bad UTF-8", "alice@\xff.example", ""},
		{"zero-width", "alice@exam\u200bple.com", ""},
		{"right-to-left override", "alice@\u202eexample.com", ""},
		{"soft hyphen", "alice@exam\u00adple.com", ""},
		{"bad A-label", "alice@xn--a.example", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseEmail(c.claimed)
			if string(got) != c.want {
				t.Errorf("got %q (%v), want %q", got, err, c.want)
			}
			if c.want == "" {
				wantKind(t, "refused", err, KindInvalidEmail)
			} else if again, err := ParseEmail(c.want); again != got {
				t.Errorf("parsed again: got %q (%v)", again, err)
			}
		})
	}
}

func FuzzParseEmail(f *testing.F) {
	for _, s := range []string{"alice@example.com", "a.b+c@BÜCHER.example", "a@b.c.d", `"x> <e@y"@z`, "a@xn--bcher-kva.example", "a@ß.de", "a@．com"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, claimed string) {
		e, err := ParseEmail(claimed)
		if err != nil {
			return
		}
		if strings.ContainsAny(string(e), " \t\r\n\x00<>()[],;:\\\"") || strings.Count(string(e), "@") != 1 || len(e) > 254 {
			t.Fatalf("%q became %q", claimed, e)
		}
		if again, err := ParseEmail(string(e)); again != e {
			t.Fatalf("%q is %q, and that is %q (%v)", claimed, e, again, err)
		}
	})
}

func TestEmailHash(t *testing.T) {
	key, other := []byte("key"), []byte("other")
	if !bytes.Equal(EmailHash(key, "Alice@example.com"), EmailHash(key, "aLICE@example.com")) {
		t.Error("the case of the local part makes another address")
	}
	if bytes.Equal(EmailHash(key, "alice@example.com"), EmailHash(other, "alice@example.com")) {
		t.Error("the key does not matter")
	}
	if bytes.Equal(EmailHash(key, "alice@example.com"), EmailHash(key, "alicf@example.com")) {
		t.Error("the address does not matter")
	}
	if len(EmailHash(key, "alice@example.com")) != 32 {
		t.Error("not SHA-256")
	}
}
