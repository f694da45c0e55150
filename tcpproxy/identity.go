package tcpproxy

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
	"github.com/pires/go-proxyproto"

	"github.com/chatgate/chatgate/authcore"
)

// access is what somebody may do.
type access string

const (
	noAccess  access = ""
	readOnly  access = "read-only"
	readWrite access = "read-write"
)

// The types of what a PROXY header tells of the client, in the range that is for applications (PROXY protocol, section
// 2.2.7). Of a visitor there is no user and no id; access is always told.
const (
	tlvUser   proxyproto.PP2Type = 0xE0 // the account's username, in UTF-8
	tlvID     proxyproto.PP2Type = 0xE1 // its UUID, as text
	tlvAccess proxyproto.PP2Type = 0xE2 // "read-write" or "read-only"
)

// proxyHeader returns what the upstream is told of a connection in the PROXY protocol.
func proxyHeader(version byte, from, to net.Addr, who caller) ([]byte, error) {
	h := proxyproto.HeaderProxyFromAddrs(version, from, to)
	if version == 2 {
		if err := errors.Join(checkValue(string(who.id.Username), longestName), checkValue(string(who.id.Account), longestID)); err != nil {
			return nil, err
		}
		tlvs := []proxyproto.TLV{{Type: tlvAccess, Value: []byte(who.access)}}
		if who.access == readWrite {
			tlvs = append(tlvs, proxyproto.TLV{Type: tlvUser, Value: []byte(who.id.Username)}, proxyproto.TLV{Type: tlvID, Value: []byte(who.id.Account)})
		}
		if err := h.SetTLVs(tlvs); err != nil {
			return nil, err
		}
	}
	return h.Format()
}

// template is a line that the upstream is sent first. Its pieces are text and the names of fields by turns.
type template []string

// field is what a template can tell of somebody. No value is longer, in bytes. Free text can have spaces, and so words that
// the chat would take for more of the line.
type field struct {
	value   func(who caller, from net.Addr) string
	longest int
	free    bool
}

// The longest values, in bytes. Names are counted in code points, of up to four.
const (
	longestName    = authcore.MaxUsername * utf8.UTFMax
	longestDisplay = authcore.MaxDisplayName * utf8.UTFMax
	longestID      = 64
	longestAddress = 64 // which may have a zone
)

// fields are there by name.
var fields = map[string]field{
	"user.name":   {func(who caller, _ net.Addr) string { return string(who.id.Username) }, longestName, false},
	"user.id":     {func(who caller, _ net.Addr) string { return string(who.id.Account) }, longestID, false},
	"user.access": {func(who caller, _ net.Addr) string { return string(who.access) }, len(readWrite), false},
	"user.display_name": {func(who caller, _ net.Addr) string {
		if who.id.DisplayName != "" {
			return who.id.DisplayName
		}
		return string(who.id.Username)
	}, longestDisplay, true},
	"client.ip": {func(_ caller, from net.Addr) string {
		host, _, err := net.SplitHostPort(from.String())
		if err != nil {
			return ""
		}
		return host
	}, longestAddress, false},
}

// maxFirstLine is how long a line may get, in bytes, without its end: a chat that reads less would take the rest for another.
const maxFirstLine = 1024

// parseTemplate reads a line. What is in braces and no field of ours is Caddy's to know, such as {env.PASSWORD}.
func parseTemplate(text string) (template, error) {
	var t template
	for piece := ""; ; {
		before, rest, open := strings.Cut(text, "{")
		piece += before
		if !open {
			t = append(t, piece)
			if err := errors.Join(checkText(piece), t.checkLength()); err != nil {
				return t, err
			}
			return t, t.checkFree()
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, errors.New("a brace is never closed")
		}
		text = after
		if _, ok := fields[name]; ok {
			if err := checkText(piece); err != nil {
				return nil, err
			}
			t, piece = append(t, piece, name), ""
			continue
		}
		if strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "client.") {
			return nil, fmt.Errorf("there is no {%s}; there are {user.name}, {user.id}, {user.display_name}, {user.access} and {client.ip}", name)
		}
		value, err := caddy.NewReplacer().ReplaceOrErr("{"+name+"}", true, true)
		if err != nil {
			return nil, fmt.Errorf("{%s} %w", name, errNoValue) // what Caddy says of it can be long
		}
		piece += value
	}
}

var errNoValue = errors.New("has no value")

var errLineBreak = errors.New("it has a line break, a NUL or another control character inside, which could begin another line")

// checkText refuses what some chat takes for the end of a line, and so every control character but the tab: there are readers
// that know of vertical tabs, form feeds and Unicode's own line breaks.
func checkText(s string) error {
	if strings.ContainsFunc(s, func(r rune) bool { return r != '\t' && breaks(r) }) {
		return errLineBreak
	}
	return nil
}

func breaks(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

var errValue = errors.New("a value of the account or the connection cannot be told to the upstream: it is too long, is not UTF-8, or has characters that end or divide lines")

// checkValue refuses what no account has, unless something else wrote it into the store: values that a chat could take for more
// than one, other than by the spaces of a display name.
func checkValue(s string, longest int) error {
	if len(s) > longest || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return breaks(r) || r != ' ' && unicode.IsSpace(r) }) {
		return errValue
	}
	return nil
}

// checkLength refuses a line that could get too long.
func (t template) checkLength() error {
	n := 0
	for i, piece := range t {
		if i%2 == 1 {
			f := fields[piece]
			if n += f.longest; f.free && t.quoted(i) {
				n += f.longest // each of its bytes may be escaped
			}
		} else {
			n += len(piece)
		}
	}
	if n > maxFirstLine {
		return fmt.Errorf("it can be %d bytes long with the longest names; a line has up to %d", n, maxFirstLine)
	}
	return nil
}

// checkFree refuses free text in the middle of a line, where a name such as "x user=admin" would add to it. It stands last, or
// between double quotes.
func (t template) checkFree() error {
	for i := 1; i < len(t); i += 2 {
		if fields[t[i]].free && !t.quoted(i) && (i != len(t)-2 || t[i+1] != "") {
			return fmt.Errorf("{%s} can have spaces and so add words to the line; put it last, or between double quotes if your chat reads those, with \\\" and \\\\ inside", t[i])
		}
	}
	return nil
}

// quoted reports whether a field stands between double quotes.
func (t template) quoted(i int) bool {
	return strings.HasSuffix(t[i-1], `"`) && strings.HasPrefix(t[i+1], `"`)
}

var quotes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// appendTo appends the line for somebody, or nothing where there is no value for one of its fields.
func (t template) appendTo(b *bytes.Buffer, who caller, from net.Addr) error {
	var line strings.Builder
	for i, piece := range t {
		if i%2 == 1 {
			f := fields[piece]
			if piece = f.value(who, from); piece == "" {
				return nil
			}
			if err := checkValue(piece, f.longest); err != nil {
				return err
			}
			if t.quoted(i) {
				piece = quotes.Replace(piece)
			}
		}
		line.WriteString(piece)
	}
	b.WriteString(line.String())
	b.WriteString("\r\n")
	return nil
}
