package authcore

import (
	"crypto/hmac"
	"crypto/sha256"
	"strings"

	"golang.org/x/net/idna"
)

// Email is an address in canonical form, as [ParseEmail] returns it.
type Email string

const atext = "!#$%&'*+/=?^_`{|}~-"

// ParseEmail returns the canonical form of a claimed address, or KindInvalidEmail: dot-atom "@" domain (RFC 5321,
// section 4.1.2, without quoted strings and literals), at most 254 bytes, the domain in lower-case A-labels. White space
// around the address is not part of it. The local part keeps its case, since only its host may fold it; look-up and
// uniqueness fold it nonetheless (see [EmailHash]).
func ParseEmail(claimed string) (Email, error) {
	claimed = trimClaimed(claimed)
	bad := Errorf(KindInvalidEmail, "not an e-mail address that can be used here")
	local, domain, ok := strings.Cut(claimed, "@")
	if !ok || len(claimed) > 254 || len(local) == 0 || len(local) > 64 {
		return "", bad
	}
	for label := range strings.SplitSeq(local, ".") {
		if label == "" {
			return "", bad
		}
		for i := range len(label) {
			if c := label[i]; !isAlnum(c) && strings.IndexByte(atext, c) < 0 {
				return "", bad
			}
		}
	}
	domain, err := idna.Registration.ToASCII(strings.ToLower(domain))
	if err != nil {
		return "", &Error{Kind: KindInvalidEmail, Msg: bad.Msg, Err: err}
	}
	if len(local)+1+len(domain) > 254 || !strings.Contains(domain, ".") || strings.Trim(domain, "0123456789.") == "" {
		return "", bad
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || len(label) > 63 {
			return "", bad
		}
	}
	return Email(local + "@" + domain), nil
}

// EmailHash returns the keyed hash under which an address is looked up and unique: HMAC-SHA-256 of its lower-case form.
func EmailHash(key []byte, e Email) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(strings.ToLower(string(e))))
	return m.Sum(nil)
}
