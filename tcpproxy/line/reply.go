package line

import (
	"errors"
	"strings"
	"time"
)

// Reply is the answer to one request: "ok", "ok <token> <expiration date>", or "nop <reason>".
type Reply struct {
	Reason  Reason    // of a nop; empty for an ok
	Token   string    // of an ok; it has no spaces
	Expires time.Time // of Token, in whole seconds
}

// Reason is why not: one word, or the keys of a syntax error.
type Reason string

// The reasons of the contract, and behind them those that it has no word for.
const (
	Unavailable      Reason = "unavailable"
	Credentials      Reason = "credentials"
	UnverifiedNumber Reason = "unverifiednumber"
	UnverifiedEmail  Reason = "unverifiedemail"
	InvalidUsername  Reason = "invalidusername"
	UsernameTaken    Reason = "usernametaken"
	BadData          Reason = "baddata"
	BadCode          Reason = "badcode"
	InvalidNumber    Reason = "invalidnumber"

	InvalidEmail       Reason = "invalidemail"
	Disabled           Reason = "disabled"
	RateLimited        Reason = "ratelimited"
	BadToken           Reason = "badtoken"
	RegistrationClosed Reason = "registrationclosed"
	InviteRequired     Reason = "inviterequired"
)

const syntax = "syntax:"

// Syntax returns the reason of a line that Parse does not understand.
func Syntax(err error) Reason {
	var e *SyntaxError
	if !errors.As(err, &e) {
		return syntax
	}
	return Reason(e.Error())
}

// Nop is a reply that says why not.
func Nop(r Reason) Reply { return Reply{Reason: r} }

// Line returns the reply's line, with its end.
func (r Reply) Line() string {
	switch {
	case r.Reason != "":
		return "nop " + string(r.Reason) + "\n"
	case r.Token != "":
		return "ok " + r.Token + " " + r.Expires.UTC().Truncate(time.Second).Format(time.RFC3339) + "\n"
	}
	return "ok\n"
}

// String is the line without its end and without the token.
func (r Reply) String() string {
	r.Token = ""
	return strings.TrimSuffix(r.Line(), "\n")
}

// GoString is String.
func (r Reply) GoString() string { return r.String() }

var errReply = errors.New("not a reply of the line protocol")

// ParseReply reads a line without its end, as a client does.
func ParseReply(text string) (Reply, error) {
	word, rest, more := strings.Cut(text, " ")
	switch {
	case word == "nop" && reason(rest):
		return Nop(Reason(rest)), nil
	case text == "ok":
		return Reply{}, nil
	case word != "ok" || !more:
		return Reply{}, errReply
	}
	token, date, _ := strings.Cut(rest, " ")
	expires, err := time.Parse("2006-01-02T15:04:05Z", date)
	if err != nil || len(date) != len("2006-01-02T15:04:05Z") || token == "" ||
		strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return Reply{}, errReply
	}
	return Reply{Token: token, Expires: expires}, nil
}

// reason reports whether text is a word, or a syntax error with its keys.
func reason(text string) bool {
	keys, isSyntax := strings.CutPrefix(text, syntax)
	if isSyntax && keys == "" {
		return true
	}
	for key := range strings.SplitSeq(keys, ",") {
		if key == "" || strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			return false
		}
	}
	return isSyntax || !strings.Contains(keys, ",")
}
