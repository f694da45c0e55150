package line

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxLine is how long a line may be, in bytes, without its end.
const MaxLine = 1024

// maxKey is how long the key of an argument may be, in bytes.
const maxKey = 16

// Request is one line of a client: a verb and its arguments.
type Request struct {
	Verb Verb
	Args map[Key]string
}

// Verb is what is asked for.
type Verb string

// The verbs of the contract, and two of the gate: token, which is a login by a token, and visit, which is none.
const (
	Login         Verb = "login"
	Register      Verb = "register"
	ValidatePhone Verb = "validatephone"
	ValidateEmail Verb = "validateemail"
	Token         Verb = "token"
	Visit         Verb = "visit"
)

// Verbs returns them all, so that what is done about each can be shown to be total.
func Verbs() []Verb { return []Verb{Login, Register, ValidatePhone, ValidateEmail, Token, Visit} }

// Key names an argument.
type Key string

// grammar says which arguments a verb has to have, and which it may have, in the order in which they are written.
var grammar = map[Verb]struct{ required, optional []Key }{
	Login:         {required: []Key{"u", "p"}},
	Register:      {required: []Key{"u", "p", "n"}, optional: []Key{"e"}},
	ValidatePhone: {required: []Key{"p", "c"}},
	ValidateEmail: {required: []Key{"e", "c"}},
	Token:         {required: []Key{"t"}},
	Visit:         {},
}

// SyntaxError says what is wrong with a line: the keys, in order, that are missing, unknown or repeated, or whose value is
// empty or badly quoted. Without any, it is the verb, or all of the line.
type SyntaxError struct{ Keys []Key }

func (e *SyntaxError) Error() string { return "syntax:" + joinKeys(e.Keys) }

func joinKeys(keys []Key) string {
	texts := make([]string, len(keys))
	for i, k := range keys {
		texts[i] = string(k)
	}
	return strings.Join(texts, ",")
}

// Parse reads a line without its end. An error is a [*SyntaxError], whose keys are fit to be shown: what is not made of a
// few letters and digits is no key.
func Parse(text string) (Request, error) {
	whole := &SyntaxError{}
	if len(text) > MaxLine || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return Request{}, whole
	}
	verb, rest, _ := strings.Cut(text, " ")
	g, ok := grammar[Verb(verb)]
	if !ok {
		return Request{}, whole
	}
	r := Request{Verb: Verb(verb), Args: make(map[Key]string)}
	var bad []Key
	for rest = strings.TrimLeft(rest, " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		key, value, after, ok := cutArgument(rest)
		if key == "" {
			return Request{}, whole
		}
		rest = after
		_, repeated := r.Args[key]
		if !ok || repeated || !slices.Contains(g.required, key) && !slices.Contains(g.optional, key) {
			bad = append(bad, key)
		}
		r.Args[key] = value
	}
	for _, key := range g.required {
		if _, ok := r.Args[key]; !ok {
			bad = append(bad, key)
		}
	}
	if len(bad) > 0 {
		slices.Sort(bad)
		return Request{}, &SyntaxError{slices.Compact(bad)}
	}
	return r, nil
}

// cutArgument reads key:value from the front of text. The key is empty where there is none; ok is false for a value that
// is empty or badly quoted. A value that does not begin with a quote is what it is, up to the next space: clients that
// know nothing of quotes send their passwords like that.
func cutArgument(text string) (key Key, value, rest string, ok bool) {
	i := 0
	for i < len(text) && (('a' <= text[i] && text[i] <= 'z') || ('0' <= text[i] && text[i] <= '9')) {
		i++
	}
	if i == 0 || i > maxKey || i == len(text) || text[i] != ':' {
		return "", "", "", false
	}
	key, text = Key(text[:i]), text[i+1:]
	if !strings.HasPrefix(text, `"`) {
		value, rest, _ = strings.Cut(text, " ")
		return key, value, rest, value != ""
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; c {
		case '"':
			if rest = text[i+1:]; rest != "" && rest[0] != ' ' {
				return key, "", "", false
			}
			return key, b.String(), rest, b.Len() > 0
		case '\\':
			if i++; i == len(text) || text[i] != '"' && text[i] != '\\' {
				return key, "", "", false
			}
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return key, "", "", false
}

// Line returns the line that Parse reads as r, without its end. Of control characters, and of keys and verbs that there
// are not, no line can be made: r is one that Parse returned, or like it.
func (r Request) Line() string {
	g := grammar[r.Verb]
	var b strings.Builder
	b.WriteString(string(r.Verb))
	for _, key := range slices.Concat(g.required, g.optional) {
		value, ok := r.Args[key]
		if !ok {
			continue
		}
		b.WriteString(" " + string(key) + ":")
		if strings.Contains(value, " ") || strings.HasPrefix(value, `"`) {
			value = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
		}
		b.WriteString(value)
	}
	return b.String()
}

// String returns the verb alone, since there are passwords among the arguments.
func (r Request) String() string { return string(r.Verb) }

// GoString is String.
func (r Request) GoString() string { return r.String() }
