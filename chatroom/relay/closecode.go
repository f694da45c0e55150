package relay

import "github.com/chatgate/chatgate/authcore"

// CloseCode is the status of a WebSocket close frame (RFC 6455, section 7.4).
type CloseCode uint16

// The codes that chatgate closes with.
const (
	CloseNormal    CloseCode = 1000 // to an upstream: the account it was dialled for has logged out
	CloseGoingAway CloseCode = 1001 // the upstream ended without a close frame or was silent for too long, or the connection is too old
	CloseProtocol  CloseCode = 1002 // frames that break RFC 6455
	CloseBinary    CloseCode = 1003 // a binary message to the method endpoint
	CloseNotText   CloseCode = 1007 // a text message that is not UTF-8
	ClosePolicy    CloseCode = 1008 // a read-only visitor wrote, or a message to the method endpoint is no request
	CloseTooBig    CloseCode = 1009 // a message over the configured size
	CloseUpstream  CloseCode = 1011 // the upstream broke RFC 6455, or sent a message over the configured size
	CloseRestart   CloseCode = 1012 // the gateway is stopping; clients should reconnect
	CloseSession   CloseCode = 4401 // the session is over, or the token is not valid
	CloseForbidden CloseCode = 4403 // the caller is known, but not allowed here
	CloseExpired   CloseCode = 4408 // the token expired on a route that binds connections to it, or nobody logged in in time
	CloseTooMany   CloseCode = 4429 // too many connections or attempts
)

var closeReasons = map[CloseCode]string{
	CloseNormal:    "logged out",
	CloseGoingAway: "going away",
	CloseProtocol:  "protocol error",
	CloseBinary:    "binary message",
	CloseNotText:   "not UTF-8",
	ClosePolicy:    "read-only",
	CloseTooBig:    "message too big",
	CloseUpstream:  "upstream error",
	CloseRestart:   "restarting",
	CloseSession:   "session over",
	CloseForbidden: "forbidden",
	CloseExpired:   "token expired",
	CloseTooMany:   "too many",
}

// Reason returns the text that goes with the code.
func (c CloseCode) Reason() string { return closeReasons[c] }

// ToUpstream returns what the upstream is told where the client is told c. What a client did wrong, and what becomes of its
// session, is no business of the upstream.
func (c CloseCode) ToUpstream() CloseCode {
	switch c {
	case CloseProtocol, CloseBinary, CloseNotText, ClosePolicy, CloseTooBig, CloseSession, CloseForbidden, CloseExpired, CloseTooMany:
		return CloseGoingAway
	default:
		return c
	}
}

// Valid reports whether a close frame may have the code (RFC 6455, section 7.4, and the IANA registry).
func (c CloseCode) Valid() bool {
	return c >= 1000 && c <= 1003 || c >= 1007 && c <= 1014 || c >= 3000 && c <= 4999
}

// closeCodeOf returns what the client is told of the end of its session.
func closeCodeOf(cause authcore.EndCause) CloseCode {
	switch cause {
	case authcore.EndToken:
		return CloseExpired
	case authcore.EndShutdown:
		return CloseRestart
	case authcore.EndSession:
	}
	return CloseSession
}
