package authcore

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestParsePhone(t *testing.T) {
	for _, c := range []struct{ name, claimed, want, country string }{
		{"plain", "+447400123456", "+447400123456", "GB"},
		{"spaces", "+44 7400 123456", "+447400123456", "GB"},
		{"hyphens", "+44-7400-123-456", "+447400123456", "GB"},
		{"dots", "+44.7400.123456", "+447400123456", "GB"},
		{"parentheses", "+44 (7400) 123456", "+447400123456", "GB"},
		{"the trunk prefix", "+44 (0)7400 123456", "+447400123456", "GB"},
		{"German", "+49 1512 3456789", "+4915123456789", "DE"},
		{"American", "+1 (201) 555-0123", "+12015550123", "US"},
		{"Canadian, of the same code", "+1 506 234 5678", "+15062345678", "CA"},
		{"Italian, with its zero", "+39 02 1234 5678", "+390212345678", "IT"},
		{"a landline", "+44 20 7183 8750", "+442071838750", "GB"},

		{"national", "07400 123456", "", ""},
		{"with two zeros", "00447400123456", "", ""},
		{"without a plus", "447400123456", "", ""},
		{"empty", "", "", ""},
		{"a plus", "+", "", ""},
		{"two", "++447400123456", "", ""},
		{"a plus within", "+44+7400123456", "", ""},
		{"leading space", " +447400123456", "+447400123456", "GB"},
		{"trailing space", "+447400123456 ", "+447400123456", "GB"},
		{"trailing no-break space", "+447400123456\u00a0", "+447400123456", "GB"},
		{"trailing line break", "+447400123456\n", "+447400123456", "GB"},
		{"long but for spaces", "+447400123456" + strings.Repeat(" ", 40), "+447400123456", "GB"},
		{"line break within", "+44 7400\n123456", "", ""},
		{"double space", "+44  7400123456", "", ""},
		{"letters", "+1 800 FLOWERS", "", ""},
		{"extension", "+442071838750 ext. 3", "", ""},
		{"extension as RFC 3966 has it", "+442071838750;ext=3", "", ""},
		{"URI", "tel:+447400123456", "", ""},
		{"full-width plus", "＋447400123456", "", ""},
		{"full-width digits", "+４４７４００１２３４５６", "", ""},
		{"Arabic digits", "+٤٤٧٤٠٠١٢٣٤٥٦", "", ""},
		{"bad UTF-8", "+44740012345\xff", "", ""},
		{"NUL", "+4474001234\x0056", "", ""},
		{"list", "+447400123456,+447400123457", "", ""},
		{"too short", "+4474001", "", ""},
		{"too long", "+4474001234567", "", ""},
		{"too many bytes", "+44 " + strings.Repeat("(", 19) + "7400123456", "", ""},
		{"no country", "+999123456789", "", ""},
		{"a country's code alone", "+44", "", ""},
		{"premium", "+44 909 8790 123", "", ""},
		{"American premium", "+1 900 234 5678", "", ""},
		{"shared cost", "+44 843 123 4567", "", ""},
		{"toll free", "+44 800 123 4567", "", ""},
		{"personal number", "+44 70 1234 5678", "", ""},
		{"emergency", "+112", "", ""},
	} {
		got, err := ParsePhone(c.claimed)
		want(t, c.name, string(got), c.want)
		if c.want == "" {
			wantKind(t, c.name, err, KindInvalidPhone)
			continue
		}
		want(t, c.name+": error", err, nil)
		want(t, c.name+": country", got.Country(), c.country)
		again, err := ParsePhone(string(got))
		want(t, c.name+": again", string(again), c.want)
		want(t, c.name+": again", err, nil)
	}
}

func TestPhoneDoesNotPrint(t *testing.T) {
	p := Phone("+447400123456")
	raw, err := json.Marshal(map[string]any{"to": []Phone{p}})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		string(raw), fmt.Sprint(p), fmt.Sprintf("%s %q %v %+v %#v %x %d", p, p, p, p, p, p, p), fmt.Sprintf("%v", struct{ P Phone }{p}),
		fmt.Sprint(PhoneValidation{ClaimedPhone: string(p), Code: "123456"}), fmt.Sprintf("%#v", EmailValidation{Code: "123456"}),
	} {
		if strings.Contains(text, "7400") || strings.Contains(text, "123456") {
			t.Errorf("it prints: %s", text)
		}
	}
}

func TestPhoneHash(t *testing.T) {
	one, two := []byte(strings.Repeat("1", 32)), []byte(strings.Repeat("2", 32))
	seen := make(map[string]bool)
	for _, h := range [][]byte{
		PhoneHash(one, "+447400123456"), PhoneHash(two, "+447400123456"), PhoneHash(one, "+447400123457"), EmailHash(one, "+447400123456"),
		hashFields(one, "phone", "+447400123456"),
	} {
		want(t, "length", len(h), 32)
		want(t, "seen before, but for an address", seen[string(h)] && len(seen) < 3, false)
		seen[string(h)] = true
	}
	want(t, "stable", string(PhoneHash(one, "+447400123456")), string(PhoneHash(one, "+447400123456")))
}

func TestCountries(t *testing.T) {
	for _, good := range [][]string{nil, {"DE"}, {"DE", "AT", "CH"}} {
		p := DefaultPolicy()
		p.Countries = good
		want(t, fmt.Sprint(good), p.Validate(), nil)
	}
	for _, bad := range [][]string{{"de"}, {""}, {"DEU"}, {"XX"}, {"DE", "DE"}, {"001"}, {"+49"}} {
		p := DefaultPolicy()
		p.Countries = bad
		if p.Validate() == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestServiceName(t *testing.T) {
	for issuer, name := range map[string]string{
		"https://chat.example.com": "chat.example.com", "https://chat.example.com:8443/x": "chat.example.com", "chatgate": "chatgate",
		"a\nb\u202e": "ab", "http://[::1]:80": "::1",
	} {
		want(t, issuer, serviceName(issuer), name)
	}
}
