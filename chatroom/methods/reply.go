package methods

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Code says what went wrong, in the words of the contract.
type Code string

// The codes, all of them.
const (
	BadRequest      Code = "bad_request"
	UnknownMethod   Code = "unknown_method"
	BadCredentials  Code = "bad_credentials"
	UsernameTaken   Code = "username_taken"
	InvalidUsername Code = "invalid_username"
	WeakPassword    Code = "weak_password"
	InviteRequired  Code = "invite_required"
	BadInvite       Code = "bad_invite"
	BadToken        Code = "bad_token"
	NotLoggedIn     Code = "not_logged_in"
	RateLimited     Code = "rate_limited"
	Unavailable     Code = "unavailable"
)

// Success encodes the reply to a call that succeeded. d encodes as an object; nil is an empty one.
func Success(id jsontext.Value, d any) []byte {
	return member(member([]byte{'{'}, `"r":`, id), `,"d":`, object(d), '}')
}

// Failure encodes the reply to a call that failed.
func Failure(id jsontext.Value, code Code) []byte {
	return member(member([]byte{'{'}, `"r":`, id), `,"err":"`, []byte(code), '"', '}')
}

// Event encodes what the client did not ask for.
func Event(name string, d any) []byte {
	return member(member([]byte{'{'}, `"e":"`, []byte(name), '"'), `,"d":`, object(d), '}')
}

// userLoggedOut is the one event of the gate's own.
var userLoggedOut = Event("user_logged_out", nil)

func member(b []byte, name string, value []byte, end ...byte) []byte {
	return append(append(append(b, name...), value...), end...)
}

// object encodes what this package made, which always can be encoded.
func object(d any) []byte {
	if d == nil {
		return []byte("{}")
	}
	b, err := json.Marshal(d)
	if err != nil {
		panic("methods: a reply does not encode: " + err.Error())
	}
	return b
}
