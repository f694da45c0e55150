package relay

import (
	"crypto/rand"
	"encoding/binary"
	"unicode/utf8"

	"github.com/chatgate/chatgate/authcore"
)

// CloseCode is the status of a WebSocket close frame (RFC 6455, section 7.4).
type CloseCode uint16

// The codes that chatgate closes with.
const (
	CloseNormal    CloseCode = 1000 // to an upstream: whoever it was for has logged out
	CloseGoingAway CloseCode = 1001 // the upstream went away without a word
	CloseProtocol  CloseCode = 1002 // frames that break RFC 6455
	CloseBinary    CloseCode = 1003 // a binary message, where there are only requests
	CloseNotText   CloseCode = 1007 // a text message that is not UTF-8
	ClosePolicy    CloseCode = 1008 // a read-only visitor wrote, or somebody what cannot be answered
	CloseTooBig    CloseCode = 1009 // a message over the configured size
	CloseUpstream  CloseCode = 1011 // the upstream broke RFC 6455, or sent a message over the configured size
	CloseRestart   CloseCode = 1012 // the gateway is stopping; come back
	CloseSession   CloseCode = 4401 // the session is over, or a token was offered that is no good
	CloseForbidden CloseCode = 4403 // known, but not allowed here
	CloseExpired   CloseCode = 4408 // the token expired, on a route that binds connections to it; or nobody logged in
	CloseTooMany   CloseCode = 4429 // too many connections or attempts
)

var closeReasons = map[CloseCode]string{
	CloseNormal:    "logged out",
	CloseGoingAway: "upstream went away",
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

// ToUpstream returns what the upstream is told where the client is told c: what a client did wrong, and what becomes of its
// session, is none of the upstream's business.
func (c CloseCode) ToUpstream() CloseCode {
	switch c {
	case CloseProtocol, CloseBinary, CloseNotText, ClosePolicy, CloseTooBig, CloseSession, CloseForbidden, CloseExpired, CloseTooMany:
		return CloseGoingAway
	default:
		return c
	}
}

// Valid reports whether a close frame may have the code (RFC 6455, section 7.4, and the registry of IANA for it).
func (c CloseCode) Valid() bool {
	return c >= 1000 && c <= 1003 || c >= 1007 && c <= 1014 || c >= 3000 && c <= 4999
}

// ParseClose judges the payload of a close frame (RFC 6455, section 5.5.1). An empty one has neither code nor reason; for
// one that breaks a rule, fault is the code to answer with.
func ParseClose(payload []byte) (code CloseCode, reason string, fault CloseCode) {
	if len(payload) == 0 {
		return 0, "", 0
	}
	if len(payload) < 2 {
		return 0, "", CloseProtocol
	}
	code = CloseCode(binary.BigEndian.Uint16(payload))
	switch {
	case !code.Valid():
		return 0, "", CloseProtocol
	case !utf8.Valid(payload[2:]):
		return 0, "", CloseNotText
	}
	return code, string(payload[2:]), 0
}

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

// CloseFrame returns a close frame, masked when it is for a server (RFC 6455, section 5.1).
func CloseFrame(c CloseCode, masked bool) []byte {
	reason := c.Reason()
	f := []byte{finBit | opClose, byte(2 + len(reason))} //nolint:gosec // a control frame has 125 bytes at the most
	if masked {
		f[1] |= maskBit
		f = append(f, 0, 0, 0, 0)
		rand.Read(f[2:6])
	}
	body := len(f)
	f = binary.BigEndian.AppendUint16(f, uint16(c))
	f = append(f, reason...)
	if masked {
		for i := body; i < len(f); i++ {
			f[i] ^= f[2+(i-body)%4]
		}
	}
	return f
}
