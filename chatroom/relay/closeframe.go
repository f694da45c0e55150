package relay

import (
	"crypto/rand"
	"encoding/binary"
	"unicode/utf8"
)

// CloseFrame returns a close frame with the code and its reason, masked if it is for a server (RFC 6455, section 5.1).
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

// ParseClose reads the payload of a close frame (RFC 6455, section 5.5.1). An empty one has neither code nor reason. If the
// payload breaks a rule, fault is the code to answer with.
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
