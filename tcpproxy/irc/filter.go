package irc

import "bytes"

// Filter judges what a registered client sends, however it is cut. Whole lines go on, or are dropped and answered: those
// that would give the client a nick which is not its account's, and those that would log it in elsewhere. What it holds is
// at most one line that has not ended.
type Filter struct {
	server, nick, account string
	maxTags               int
	held                  []byte // of a line that has not ended
	done                  []byte // one that was held, until the next call
	skip                  bool   // the rest of a line that is too long
	say                   []byte
}

// NewFilter makes the filter of a client that is called nick, of an account. Where the upstream has no tags, they count as
// part of a line, as they do for it.
func NewFilter(server, nick, account string, tags bool) *Filter {
	f := &Filter{server: server, nick: nick, account: account}
	if tags {
		f.maxTags = MaxClientTags
	}
	return f
}

// The bounds of what is kept.
const (
	keepHeld = 1024
	maxSay   = 4096 // of answers to what came at once
)

// Judge takes the next bytes, which it may change. What goes on is first, and then rest, which is a part of b; say is for
// the client. All of them hold until the next call.
func (f *Filter) Judge(b []byte) (first, rest, say []byte) {
	f.say = f.say[:0]
	if cap(f.done) > keepHeld {
		f.done = nil
	}
	if len(f.held) > 0 || f.skip {
		n := lineLength(b)
		if f.hold(b[:max(n, 0)]); n < 0 {
			f.hold(b)
			return nil, nil, f.say
		}
		b = b[n:]
		f.held, f.done = f.done[:0], f.held
		if !f.skip && f.judge(f.done) {
			first = f.done
		}
		f.skip = false
	}
	out := 0
	for in, lf := 0, -1; in < len(b); {
		if lf < in {
			if lf = bytes.IndexByte(b[in:], '\n'); lf < 0 {
				lf = len(b)
			} else {
				lf += in
			}
		}
		next := lf + 1
		if cr := bytes.IndexByte(b[in:lf], '\r'); cr >= 0 && (in+cr+1 < lf || lf == len(b)) { // a line may end in that alone
			next = in + cr + 1
		}
		if next > len(b) {
			f.hold(b[in:])
			break
		}
		if f.judge(b[in:next]) {
			if out != in {
				copy(b[out:], b[in:next])
			}
			out += next - in
		}
		in = next
	}
	return first, b[:out], f.say
}

// lineLength returns the length of b's first line with its end, or -1 where that is not there yet.
func lineLength(b []byte) int {
	lf := bytes.IndexByte(b, '\n')
	if lf >= 0 {
		b = b[:lf]
	}
	if cr := bytes.IndexByte(b, '\r'); cr >= 0 && (cr+1 < lf || lf < 0) {
		return cr + 1
	}
	if lf < 0 {
		return lf
	}
	return lf + 1
}

// hold keeps what has not ended, unless it is too long already.
func (f *Filter) hold(b []byte) {
	if f.skip {
		return
	}
	if len(f.held)+len(b) > f.maxTags+MaxLine {
		f.tooLong()
		f.held, f.skip = nil, true
		return
	}
	f.held = append(f.held, b...)
}

// judge reports whether a line, with its end, goes on.
func (f *Filter) judge(line []byte) bool {
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	if !fits(line, f.maxTags) {
		f.tooLong()
		return false
	}
	if bytes.IndexByte(line, 0) >= 0 { // no message, and for some servers the end of one
		return false
	}
	command, params := cutCommand(line)
	for _, c := range command {
		if (c < '0' || c > '9') && (lower(c) < 'a' || lower(c) > 'z') {
			f.answer(errUnknownCommand, middle(string(command)), "Unknown command")
			return false
		}
	}
	switch len(command) {
	case len("NICK"):
		if foldEqual(command, "nick") && !f.mayBe(params) {
			f.answer(errRestricted, "Your nick is your account's name, and stays so")
			return false
		}
	case len("STARTTLS"): // and CHARCONV, by which a server would read lines that are none here
		switch {
		case foldEqual(command, "starttls"):
			f.answer(errStartTLS, "STARTTLS is not offered")
			return false
		case foldEqual(command, "charconv"):
			f.answer(errUnknownCommand, "CHARCONV", "Unknown command")
			return false
		}
	case len("AUTHENTICATE"):
		if foldEqual(command, "authenticate") {
			f.answer(errSASLAlready, "You have already authenticated using SASL")
			return false
		}
	}
	return true
}

// cutCommand finds the command of a line, behind tags and a source, and what follows it.
func cutCommand(line []byte) (command, params []byte) {
	line = bytes.TrimLeft(line[pastTags(line):], " ")
	if len(line) > 0 && line[0] == ':' {
		_, line, _ = bytes.Cut(line, []byte(" "))
		line = bytes.TrimLeft(line, " ")
	}
	command, params, _ = bytes.Cut(line, []byte(" "))
	return command, params
}

// mayBe reports whether the client may be called what a NICK asks for: what it is called already, or its account's name,
// when that was taken at first. What asks for nothing is the upstream's to answer.
func (f *Filter) mayBe(params []byte) bool {
	params = bytes.TrimLeft(params, " ")
	if name, trailing := bytes.CutPrefix(params, []byte(":")); trailing {
		params = name
	} else {
		params, _, _ = bytes.Cut(params, []byte(" "))
	}
	return len(params) == 0 || foldEqual(params, f.nick) || foldEqual(params, f.account)
}

func (f *Filter) tooLong() { f.answer(errInputTooLong, "Input line was too long") }

func (f *Filter) answer(numeric string, params ...string) {
	if len(f.say) < maxSay {
		f.say = append(f.say, Format(f.server, numeric, append([]string{f.nick}, params...)...)...)
	}
}
