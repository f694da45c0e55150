package irc

import (
	"strconv"
	"strings"
)

// capState is how far a client has negotiated capabilities. The gateway itself has two: sasl, and cap-notify, by which the
// client hears of the upstream's when there is one.
type capState struct {
	open         bool // the client's registration waits for CAP END
	v302         bool
	sasl, notify bool // asked for
}

const (
	capSASL   = "sasl"
	capNotify = "cap-notify"
)

func (r *Registration) doCap(params []string) ([]byte, Step) {
	if len(params) == 0 {
		return r.reply(errNeedMoreParams, "CAP", "Not enough parameters"), Wait
	}
	c := &r.caps
	arg := strings.Join(params[1:], " ")
	switch strings.ToUpper(params[0]) {
	case "LS":
		c.open = true
		text := capNotify + " " + capSASL
		if v, err := strconv.Atoi(strings.TrimSpace(arg)); c.v302 || err == nil && v >= 302 {
			c.v302, c.notify = true, true
			text += "=PLAIN"
		}
		return r.cap("LS", text), Wait
	case "LIST":
		var on []string
		if c.notify {
			on = append(on, capNotify)
		}
		if c.sasl {
			on = append(on, capSASL)
		}
		return r.cap("LIST", strings.Join(on, " ")), Wait
	case "REQ":
		c.open = true
		if !c.request(arg) {
			return r.cap("NAK", arg), Wait
		}
		return r.cap("ACK", arg), Wait
	case "END":
		if !c.open {
			return nil, Wait
		}
		c.open = false
		var b []byte
		if r.sasl != nil {
			b = r.abort()
		}
		say, step := r.next()
		return append(b, say...), step
	}
	return r.reply(errInvalidCap, middle(params[0]), "Invalid CAP command"), Wait
}

// request carries out all of what is asked for, or nothing of it.
func (c *capState) request(text string) bool {
	n := *c
	for word := range strings.FieldsSeq(text) {
		name, off := strings.CutPrefix(word, "-")
		switch {
		case name == capSASL:
			n.sasl = !off
		case name == capNotify && !(off && n.v302): // of which it is a part
			n.notify = !off
		default:
			return false
		}
	}
	*c = n
	return true
}

func (r *Registration) cap(sub, text string) []byte {
	return Format(r.Server, "CAP", r.target(), sub, text)
}

// hidden are capabilities of an upstream that are no client's business: its own logins, and what it says of its ports.
var hidden = map[string]bool{capSASL: true, "tls": true, "sts": true, capNotify: true, "draft/account-registration": true}

// newCaps tells a registered client of an upstream's capabilities.
func newCaps(server, nick string, caps []string) []byte {
	var b []byte
	line := ""
	flush := func() {
		if line != "" {
			b = append(b, Format(server, "CAP", nick, "NEW", line)...)
		}
		line = ""
	}
	room := MaxLine - len(": CAP  NEW :\r\n") - len(server) - len(nick)
	for _, c := range caps {
		name, _, _ := strings.Cut(c, "=")
		if hidden[name] || len(c) > room {
			continue
		}
		if len(line)+1+len(c) > room {
			flush()
		}
		if line != "" {
			line += " "
		}
		line += c
	}
	flush()
	return b
}
