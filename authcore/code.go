package authcore

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/big"
	"time"
)

// CodePurpose is what a one-time code proves; a code for one purpose is never valid for another.
type CodePurpose string

// The purposes.
const (
	CodeReset CodePurpose = "reset" // its bearer may choose a new password
	CodeEmail CodePurpose = "email" // its bearer reads mail to the address
)

// The bounds of a one-time code.
const (
	CodeTries    = 5                // of a code
	CodeLifetime = 10 * time.Minute // since it was sent
	codeDigits   = 6
)

// RequestID names a request for a code: 128 random bits, known only to the client that asked for the code.
type RequestID string

// Code is a one-time code as it is stored: bound to an account, a purpose and a request, and hashed with a key.
type Code struct {
	Request   RequestID
	Account   AccountID
	Purpose   CodePurpose
	Hash      []byte
	Tries     int // so far
	ExpiresAt time.Time
}

// OneTimeCode is a code in clear. It does not print.
type OneTimeCode string

// Format keeps the code out of logs and errors.
func (OneTimeCode) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[code]")) }

// MarshalText keeps it out of JSON.
func (OneTimeCode) MarshalText() ([]byte, error) { return []byte("[code]"), nil }

// parseCode returns a claimed code without the spaces and dashes that group its digits.
func parseCode(claimed string) OneTimeCode { return OneTimeCode(ungroup(claimed)) }

// newOneTimeCode returns uniformly random decimal digits.
func newOneTimeCode() (OneTimeCode, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Exp(big.NewInt(10), big.NewInt(codeDigits), nil))
	if err != nil {
		return "", fmt.Errorf("making a code: %w", err)
	}
	return OneTimeCode(fmt.Sprintf("%0*d", codeDigits, n)), nil
}

// hashFields returns the keyed hash of texts, each prefixed with its length.
func hashFields(key []byte, fields ...string) []byte {
	m := hmac.New(sha256.New, key)
	for _, f := range fields {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(f)))
		m.Write(n[:])
		m.Write([]byte(f))
	}
	return m.Sum(nil)
}

func (st *State) codeHash(c *Code, code OneTimeCode) []byte {
	return hashFields(st.codeKey, "code", string(c.Purpose), string(c.Account), string(c.Request), string(code))
}
