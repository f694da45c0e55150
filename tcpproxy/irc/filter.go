package irc

import (
	"bytes"
	"errors"
)

// Filter judges what a registered client sends, however it is cut. Whole lines go on, each in the one form that all servers
// read alike ([parts]), or are dropped and answered: those that would give the client a nick which is not its account's,
// those that would log it in elsewhere, and those that are no messages. What it holds is at most one line that has not ended.
type Filter struct {
	server, nick, account string
	maxTags               int
	held                  []byte // of a line that has not ended
	done                  []byte // one that was held, until the next call
	grown                 []byte // what goes on and has no room where it was, until the next call
	form                  []byte // of the line that is judged, where it is not that already
	skip                  bool   // the rest of a line that is too long
	say                   []byte
}

// NewFilter makes the filter of a client that is called nick, of an account. Where the upstream has no tags, they count as
// part of a line, as they would for it, and do not go on.
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

// Judge takes the next bytes, which it may change. What goes on is first, and then rest; say is for the client. All of them
// hold until the next call.
func (f *Filter) Judge(b []byte) (first, rest, say []byte) {
	f.say = f.say[:0]
	if cap(f.done) > keepHeld {
		f.done = nil
	}
	if f.grown = f.grown[:0]; cap(f.grown) > keepHeld {
		f.grown = nil
	}
	if cap(f.form) > keepHeld {
		f.form = nil
	}
	if len(f.held) > 0 || f.skip {
		n := bytes.IndexByte(b, '\n') + 1
		if n == 0 {
			f.hold(b)
			return nil, nil, f.say
		}
		f.hold(b[:n])
		b = b[n:]
		f.held, f.done = f.done[:0], f.held
		if !f.skip {
			switch text, v := f.judge(f.done); v {
			case asIs:
				first = f.done
			case inForm:
				first = append(text, "\r\n"...)
				f.form = nil // or the next line would be written over it
			case dropped:
			}
		}
		f.skip = false
	}
	return first, f.lines(b), f.say
}

// lines returns what goes on of b, where a line begins: in its own place, unless that is too small.
func (f *Filter) lines(b []byte) []byte {
	out := 0
	for in := 0; in < len(b); {
		n := bytes.IndexByte(b[in:], '\n') + 1
		if n == 0 {
			f.hold(b[in:])
			break
		}
		line := b[in : in+n]
		text, v := f.judge(line)
		switch {
		case v == dropped:
		case v == asIs && len(f.grown) == 0:
			if out != in {
				copy(b[out:], line)
			}
			out += n
		case v == asIs:
			f.grown = append(f.grown, line...)
		default:
			if len(f.grown) == 0 {
				f.grown = append(f.grown, b[:out]...)
			}
			f.grown = append(append(f.grown, text...), "\r\n"...)
		}
		in += n
	}
	if len(f.grown) > 0 {
		return f.grown
	}
	return b[:out]
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

// verdict is what becomes of a line.
type verdict uint8

const (
	dropped verdict = iota
	asIs
	inForm // as the text that comes with it, with CR LF
)

// judge returns what becomes of a line, which has its end.
func (f *Filter) judge(line []byte) (text []byte, v verdict) {
	text = line[:len(line)-1]
	v = inForm
	if n := len(text) - 1; n >= 0 && text[n] == '\r' {
		text, v = text[:n], asIs
	}
	switch {
	case len(text) == 0: // which some clients send to keep a connection open
		return nil, dropped
	case !fits(text, f.maxTags):
		f.tooLong()
		return nil, dropped
	case !isClean(text):
		f.answer(errUnknownCommand, "*", malformed)
		return nil, dropped
	}
	if command, params, ok := cutPlain(text, f.maxTags > 0); ok {
		if !f.allows(command, params) {
			v = dropped
		}
		return text, v
	}
	var p parts
	switch {
	case !p.split(text):
		if p.command != nil || p.source != nil || p.tags != nil { // or there is nothing but spaces
			f.answer(errUnknownCommand, middle(string(p.command)), "Unknown command")
		}
		return nil, dropped
	case p.source != nil && !foldEqual(p.nick(), f.nick):
		f.answer(errUnknownCommand, "*", "You speak for yourself alone: leave out the source")
		return nil, dropped
	case !f.allows(p.command, p.params):
		return nil, dropped
	case f.maxTags == 0: // the upstream would take them for the command
		p.tags = nil
	}
	f.form = p.appendTo(f.form[:0])
	return f.form, inForm
}

// malformed is said of what some servers read as two lines, some as one, and some as another.
const malformed = "A line ends in CR LF, and has no CR or NUL inside"

var errMalformed = errors.New("a line with a CR or NUL inside")

// isClean reports whether a line without its LF has none of the other bytes that a message may not have (RFC 2812, section
// 2.3.1).
func isClean(text []byte) bool {
	return bytes.IndexByte(text, '\r') < 0 && bytes.IndexByte(text, 0) < 0
}

func (f *Filter) tooLong() { f.answer(errInputTooLong, "Input line was too long") }

func (f *Filter) answer(numeric string, params ...string) {
	if len(f.say) < maxSay {
		f.say = append(f.say, Format(f.server, numeric, append([]string{f.nick}, params...)...)...)
	}
}
