package irc

import "bytes"

// A client's line goes on in one form, so that a server reads the same as was judged here: tags, a command and parameters, with
// one space between them. Servers differ in what they make of spaces in front, of a source, and of tags that they do not know.

// cutPlain takes apart a line without its end that is in this form, as nearly every one is.
func cutPlain(line []byte, tags bool) (command, params []byte, ok bool) {
	if tags && line[0] == '@' {
		i := bytes.IndexByte(line, ' ')
		if i < len("@a") {
			return nil, nil, false
		}
		line = line[i+1:]
	}
	n := 0
	for n < len(line) && isLetter(line[n]) {
		n++
	}
	switch {
	case n == 0:
		return nil, nil, false
	case n == len(line):
		return line, nil, true
	case line[n] != ' ':
		return nil, nil, false
	}
	command, params = line[:n], line[n+1:]
	return command, params, isTidy(params)
}

// isTidy reports whether there are parameters, parted by one space each.
func isTidy(params []byte) bool {
	for len(params) > 0 && params[0] != ' ' {
		if params[0] == ':' {
			return true
		}
		i := bytes.IndexByte(params, ' ')
		if i < 0 {
			return true
		}
		params = params[i+1:]
	}
	return false
}

// parts are those of a client's line in any form. What there is not is nil.
type parts struct {
	tags    []byte // with '@'
	source  []byte // with ':'
	command []byte
	params  []byte // from the first byte that is no space
}

// split takes a line without its end apart. It reports false for what is no message.
func (p *parts) split(line []byte) bool {
	line = bytes.TrimLeft(line, " ")
	if len(line) > 0 && line[0] == '@' {
		p.tags, line = cutWord(line)
	}
	if len(line) > 0 && line[0] == ':' {
		p.source, line = cutWord(line)
	}
	if len(line) > 0 {
		p.command, p.params = cutWord(line)
	}
	return len(p.tags) != len("@") && len(p.source) != len(":") && isCommand(p.command)
}

// cutWord cuts the first word off, and the spaces behind it.
func cutWord(line []byte) (word, rest []byte) {
	word, rest, _ = bytes.Cut(line, []byte(" "))
	return word, bytes.TrimLeft(rest, " ")
}

// isCommand reports whether a word can be a command of a client. A number is a server's answer.
func isCommand(word []byte) bool {
	letters := false
	for _, c := range word {
		switch {
		case isLetter(c):
			letters = true
		case c < '0' || c > '9':
			return false
		}
	}
	return letters
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// appendTo appends the line without its source and its end.
func (p *parts) appendTo(b []byte) []byte {
	if p.tags != nil {
		b = append(append(b, p.tags...), ' ')
	}
	b = append(b, p.command...)
	for params := p.params; len(params) > 0; {
		b = append(b, ' ')
		if params[0] == ':' {
			return append(b, params...)
		}
		var param []byte
		param, params = cutWord(params)
		b = append(b, param...)
	}
	return b
}

// nick returns whom the source names.
func (p *parts) nick() []byte {
	nick := p.source[len(":"):]
	if i := bytes.IndexAny(nick, "!@"); i >= 0 {
		return nick[:i]
	}
	return nick
}
