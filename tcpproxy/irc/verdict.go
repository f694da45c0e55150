package irc

import "bytes"

// allows reports whether a command goes on. What does not is answered.
func (f *Filter) allows(command, params []byte) bool {
	var upper [len("AUTHENTICATE")]byte // the longest of them
	if len(command) > len(upper) {
		return true
	}
	for i, c := range command {
		if upper[i] = c; 'a' <= c && c <= 'z' {
			upper[i] -= 'a' - 'A'
		}
	}
	switch command := upper[:len(command)]; string(command) {
	case "NICK":
		return f.allowsNick(params)
	case "PASS", "USER":
		f.answer(errAlreadyRegistered, "You may not reregister")
	case "AUTHENTICATE":
		f.answer(errSASLAlready, "You have already authenticated using SASL")
	case "STARTTLS":
		f.answer(errStartTLS, "STARTTLS is not offered")
	case "WEBIRC", "PROXY", "SERVER", "SERVICE", // which are between servers and what stands before them
		"REGISTER", "VERIFY", // which would log the client in to an account of the upstream's
		"CHARCONV": // by which a server would read lines that are none here
		f.answer(errUnknownCommand, string(command), "Unknown command")
	default:
		return true
	}
	return false
}

// allowsNick reports whether the client may be called what a NICK asks for: what it is called already, or its account's
// name, when that was taken at first.
func (f *Filter) allowsNick(params []byte) bool {
	nick, trailing := bytes.CutPrefix(params, []byte(":"))
	if !trailing {
		nick, _, _ = bytes.Cut(nick, []byte(" "))
	}
	switch {
	case len(nick) == 0:
		f.answer(errNoNickGiven, "No nickname given")
	case foldEqual(nick, f.nick) || foldEqual(nick, f.account):
		return true
	default:
		f.answer(errRestricted, "Your nick is your account's name, and stays so")
	}
	return false
}
