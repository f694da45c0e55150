package irc

import (
	"bytes"
	"errors"
	"strings"

	"github.com/ergochat/irc-go/ircmsg"
)

// The longest that a message may be, in bytes, with CR LF (RFC 2812, section 2.3), and its tags, with '@' and the space
// behind them (IRCv3, message-tags): of a client's, and of a server's, who passes on a client's and adds its own.
const (
	MaxLine       = 512
	MaxClientTags = 4096
	MaxServerTags = 8191
)

// Message is a line, taken apart.
type Message = ircmsg.Message

// Parse takes a line apart, which is without its end. The command comes in upper case. An empty line, or one with a NUL or
// CR inside, is an error.
func Parse(line []byte) (Message, error) {
	if !isClean(line) { // ircmsg takes one CR at the end for a part of it
		return Message{}, errMalformed
	}
	return ircmsg.ParseLine(string(line))
}

// breaks takes the place of what would end a line. Every other byte stays as it is: not all of IRC is UTF-8.
var breaks = strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ")

// Format returns a line with its end. The last parameter may have spaces. What does not fit is cut off; a parameter that
// cannot stand where it does becomes a "*".
func Format(source, command string, params ...string) []byte {
	for i := range params {
		if i == len(params)-1 {
			params[i] = breaks.Replace(params[i])
		} else {
			params[i] = middle(params[i])
		}
	}
	m := ircmsg.MakeMessage(nil, source, command, params...)
	m.ForceTrailing()
	b, err := m.LineBytesStrict(false, MaxLine)
	if err != nil && !errors.Is(err, ircmsg.ErrorBodyTooLong) {
		return nil
	}
	return b
}

// middle returns a word as it can stand before others, or "*".
func middle(s string) string {
	if s == "" || len(s) > 128 || s[0] == ':' || strings.ContainsAny(s, " \r\n\x00") {
		return "*"
	}
	return s
}

// IsNick reports whether a name can stand in the place of a nick without being taken for something else. Whether it is one
// is the upstream's to judge.
func IsNick(name string) bool {
	return name != "" && name != "*" && middle(name) == name && !strings.ContainsAny(name[:1], "#&+!~@%$=") && !strings.ContainsAny(name, "!@,*?")
}

// foldEqual compares as every casemapping does with letters and digits.
func foldEqual(a []byte, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		if lower(c) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// pastTags returns the length of a line's tags, with the space behind them.
func pastTags(line []byte) int {
	if len(line) == 0 || line[0] != '@' {
		return 0
	}
	if i := bytes.IndexByte(line, ' '); i >= 0 {
		return i + 1
	}
	return len(line)
}

// fits reports whether a line without its end is no longer than it may be.
func fits(line []byte, maxTags int) bool {
	tags := pastTags(line)
	if maxTags == 0 { // then they are nothing of their own
		tags = 0
	}
	return tags <= maxTags && len(line)-tags <= MaxLine-len("\r\n")
}
