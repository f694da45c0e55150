package irc

import (
	"bytes"
	"strconv"
	"strings"
)

// Introduction is how the gateway registers a client with an upstream, as it stands between the two.
type Introduction struct {
	Account  string // the nick
	Realname string
	Server   string // what the gateway calls itself
	Before   []byte // lines that come first: WEBIRC, PASS
	Numbered bool   // where the nick is taken, alice|2 and so on are tried; no username has a '|'
	Caps     bool   // the client is to be told of the upstream's capabilities

	nick  string // the one asked for last
	tries int
	asked bool // for capabilities, and not answered yet
	caps  []string
	size  int // of caps
	early []byte
}

// The bounds of what an upstream may say.
const (
	maxNicks = 64
	maxCaps  = 16 << 10
)

// Separator stands between an account's name and a number, in the nick of its second connection. No username has it.
const Separator = "|"

// Outcome is how far an introduction is.
type Outcome uint8

// The outcomes.
const (
	Pending  Outcome = iota
	Accepted         // Welcome is next, and what the upstream has sent behind this line
	Refused          // the upstream will not have it; what it said of that is passed on, unless it is the gateway's fault
	Taken            // the nick is somebody's, and there is no other to try
	Renamed          // the upstream has another nick for the account than was asked for, which could be somebody else's
)

// Begin returns what the upstream is sent first.
func (i *Introduction) Begin() []byte {
	i.nick = i.Account
	var b bytes.Buffer
	b.Write(i.Before)
	if i.Caps {
		i.asked = true
		b.WriteString("CAP LS 302\r\n")
	}
	b.WriteString("NICK " + i.nick + "\r\n")
	b.Write(Format("", "USER", i.Account, "0", "*", i.Realname))
	return b.Bytes()
}

// Line takes a line of the upstream's without its end, and returns what it is answered, and what the client is told.
func (i *Introduction) Line(text []byte) (up, down []byte, o Outcome) {
	m, err := Parse(text)
	if err != nil {
		return nil, nil, Pending
	}
	on := func() []byte { return append(bytes.Clone(text), "\r\n"...) }
	switch m.Command {
	case "PING":
		token := ""
		if n := len(m.Params); n > 0 {
			token = m.Params[n-1]
		}
		return Format("", "PONG", token), nil, Pending
	case "CAP":
		return i.capLine(m.Params), nil, Pending
	case rplWelcome:
		if len(m.Params) == 0 || m.Params[0] != i.nick {
			return nil, nil, Renamed
		}
		i.early = append(on(), newCaps(strings.TrimSpace(serverOf(m, i.Server)), i.nick, i.caps)...)
		return nil, nil, Accepted
	case errNickInUse, errUnavailable, errNickCollision:
		if m.Command != errNickCollision && i.Numbered && i.tries < maxNicks {
			i.tries++
			i.nick = i.Account + Separator + strconv.Itoa(i.tries+1)
			return []byte("NICK " + i.nick + "\r\n"), nil, Pending
		}
		return nil, on(), Taken
	case errUnknownCommand, errNotRegistered, errNeedMoreParams:
		if i.asked && about(m, "CAP") { // the upstream is older than capabilities
			i.asked = false
			return nil, nil, Pending
		}
	case errPasswordMismatch, errNoPermForHost, "ERROR": // which may be about the gateway's password, and the client would think of its own
		return nil, nil, Refused
	case errErroneousNick, errNoNickGiven, errBanned, "466", errRestricted, "468":
		return nil, on(), Refused
	}
	return nil, on(), Pending
}

// capLine collects what the upstream is capable of.
func (i *Introduction) capLine(params []string) []byte {
	if !i.asked || len(params) < 3 || !strings.EqualFold(params[1], "LS") {
		return nil
	}
	text := params[len(params)-1]
	if i.size += len(text); i.size <= maxCaps {
		i.caps = append(i.caps, strings.Fields(text)...)
	}
	if len(params) > 3 && params[2] == "*" { // there is more
		return nil
	}
	i.asked = false
	return []byte("CAP END\r\n")
}

// Nick returns what the upstream calls the client.
func (i *Introduction) Nick() string { return i.nick }

// Welcome returns what the client is told first once the upstream has accepted it.
func (i *Introduction) Welcome() []byte { return i.early }

// Tags reports whether the upstream understands tags before a client's messages.
func (i *Introduction) Tags() bool {
	for _, c := range i.caps {
		if c == "message-tags" {
			return true
		}
	}
	return false
}

// about reports whether an error numeric names a command.
func about(m Message, command string) bool {
	for _, p := range m.Params[:max(len(m.Params)-1, 0)] {
		if p == command {
			return true
		}
	}
	return false
}

func serverOf(m Message, otherwise string) string {
	if m.Source == "" {
		return otherwise
	}
	return m.Source
}

// WebIRC returns the line that tells an upstream whom the gateway speaks for.
func WebIRC(password, gateway, ip string, secure bool) []byte {
	if strings.HasPrefix(ip, ":") { // which would be the last parameter
		ip = "0" + ip
	}
	line := "WEBIRC " + password + " " + gateway + " " + ip + " " + ip
	if secure {
		line += " :secure"
	}
	return []byte(line + "\r\n")
}
