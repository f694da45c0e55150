package tcpproxy

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/pires/go-proxyproto"
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

// fields are what a template can tell, by name.
var fields = map[string]func(who caller, from net.Addr) string{
	"user.name":   func(who caller, _ net.Addr) string { return string(who.id.Username) },
	"user.id":     func(who caller, _ net.Addr) string { return string(who.id.Account) },
	"user.access": func(who caller, _ net.Addr) string { return string(who.access) },
	"user.display_name": func(who caller, _ net.Addr) string {
		if who.id.DisplayName != "" {
			return who.id.DisplayName
		}
		return string(who.id.Username)
	},
	"client.ip": func(_ caller, from net.Addr) string {
		host, _, err := net.SplitHostPort(from.String())
		if err != nil {
			return ""
		}
		return host
	},
}

// parseTemplate reads a line. What is in braces and no field of ours is Caddy's to know, such as {env.PASSWORD}.
func parseTemplate(text string) (template, error) {
	var t template
	for piece := ""; ; {
		before, rest, open := strings.Cut(text, "{")
		piece += before
		if !open {
			return append(t, piece), checkText(piece)
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

var errLineBreak = errors.New("it has a line break or a NUL inside, which would begin another line")

func checkText(s string) error {
	if strings.ContainsAny(s, "\r\n\x00") {
		return errLineBreak
	}
	return nil
}

// appendTo appends the line for somebody, or nothing where there is no value for one of its fields.
func (t template) appendTo(b *bytes.Buffer, who caller, from net.Addr) error {
	var line strings.Builder
	for i, piece := range t {
		if i%2 == 1 {
			if piece = fields[piece](who, from); piece == "" {
				return nil
			}
		}
		if err := checkText(piece); err != nil {
			return err
		}
		line.WriteString(piece)
	}
	b.WriteString(line.String())
	b.WriteString("\r\n")
	return nil
}
