package authcore

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// Phone is a phone number in E.164 form, as [ParsePhone] returns it: "+" and up to 15 digits. It does not print.
type Phone string

// Format keeps the number out of logs and errors.
func (Phone) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[number]")) }

// MarshalText keeps it out of JSON.
func (Phone) MarshalText() ([]byte, error) { return []byte("[number]"), nil }

var errBadPhone = &Error{Kind: KindInvalidPhone, Msg: "not a phone number that can be used here; write it as +44 20 7946 0018"}

// maxClaimedPhone is the maximum that ParsePhone accepts, in bytes.
const maxClaimedPhone = 32

// unwritable are the kinds of numbers that get no text messages, or that are charged at a premium.
var unwritable = []phonenumbers.PhoneNumberType{
	phonenumbers.PREMIUM_RATE, phonenumbers.SHARED_COST, phonenumbers.TOLL_FREE, phonenumbers.PERSONAL_NUMBER,
	phonenumbers.PAGER, phonenumbers.UAN, phonenumbers.VOICEMAIL, phonenumbers.UNKNOWN,
}

// ParsePhone returns the canonical form of a claimed number, or KindInvalidPhone. The claim is in international form: "+",
// then ASCII digits, with single spaces, '-', '.' or parentheses between them, and white space around it. The number must
// be in a range that its country has assigned, and not charged at a premium.
func ParsePhone(claimed string) (Phone, error) {
	claimed = trimClaimed(claimed)
	if len(claimed) > maxClaimedPhone || !strings.HasPrefix(claimed, "+") {
		return "", errBadPhone
	}
	digits := []byte{'+'}
	joint := true // the byte before was no digit
	for i := 1; i < len(claimed); i++ {
		switch c := claimed[i]; {
		case '0' <= c && c <= '9':
			digits, joint = append(digits, c), false
		case c == '(' || c == ')': // stands beside a space, or alone
		case strings.IndexByte(" -.", c) >= 0 && !joint:
			joint = true
		default:
			return "", errBadPhone
		}
	}
	if joint {
		return "", errBadPhone
	}
	n, err := phonenumbers.Parse(string(digits), "")
	if err != nil || !phonenumbers.IsValidNumber(n) || slices.Contains(unwritable, phonenumbers.GetNumberType(n)) {
		return "", errBadPhone
	}
	return Phone(phonenumbers.Format(n, phonenumbers.E164)), nil
}

// Country returns the ISO 3166 code of a number's country; "001" if it has none, such as a satellite phone's.
func (p Phone) Country() string {
	n, err := phonenumbers.Parse(string(p), "")
	if err != nil {
		return ""
	}
	return phonenumbers.GetRegionCodeForNumber(n)
}

// checkCountries refuses codes that no phone number can have, and repeated ones.
func checkCountries(codes []string) error {
	known := phonenumbers.GetSupportedRegions()
	for i, c := range codes {
		switch {
		case !known[c]:
			shown, _ := json.Marshal(c)
			return fmt.Errorf("phone_countries has %s; write ISO 3166 codes of countries in capitals, such as DE", shown)
		case slices.Contains(codes[:i], c):
			return fmt.Errorf("phone_countries has %s twice", c)
		}
	}
	return nil
}

// PhoneHash returns the keyed hash of a number: HMAC-SHA-256.
func PhoneHash(key []byte, p Phone) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(p))
	return m.Sum(nil)
}

// texts reports whether the policy accepts a number's country.
func (p *Policy) texts(to Phone) bool {
	return len(p.Countries) == 0 || slices.Contains(p.Countries, to.Country())
}
