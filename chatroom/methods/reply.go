package methods

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Code is the contract's name for a failure.
type Code string

// All codes.
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

// Success encodes the reply to a call that succeeded. d must encode as an object; nil stands for an empty one.
func Success(id jsontext.Value, d any) []byte {
	return member(member([]byte{'{'}, `"r":`, id), `,"d":`, object(d), '}')
}

// Failure encodes the reply to a call that failed.
func Failure(id jsontext.Value, code Code) []byte {
	return member(member([]byte{'{'}, `"r":`, id), `,"err":"`, []byte(code), '"', '}')
}

// Event encodes a message that answers no request.
func Event(name string, d any) []byte {
	return member(member([]byte{'{'}, `"e":"`, []byte(name), '"'), `,"d":`, object(d), '}')
}

// userLoggedOut is our only event.
var userLoggedOut = Event("user_logged_out", nil)

func member(b []byte, name string, value []byte, end ...byte) []byte {
	return append(append(append(b, name...), value...), end...)
}

// object encodes a value of this package, which cannot fail.
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
