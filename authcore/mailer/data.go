package mailer

import (
	"net/url"
	"strings"
	"unicode"

	"github.com/chatgate/chatgate/authcore"
)

// Data is what a template of a body is given. What users chose is for the eye alone: it is clean, and nothing in it is
// made a link by a mail program.
type Data struct {
	Service  string // the issuer's host
	Issuer   string // an https URL; empty if the issuer is none
	Username string
	Code     string // of the notices with a code
	Minutes  int    // that the code is good for
	Device   string // that did it, such as "Firefox on Linux"
	Address  string // of the client that did it
	Time     string // UTC
}

// subjectData is what a template of a subject is given: nothing of a user's gets into a header.
type subjectData struct{ Service string }

// issuer is what an issuer gives to templates.
type issuer struct{ service, url string }

func parseIssuer(text string) issuer {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "":
		return issuer{service: clean(text)}
	case u.Scheme != "https":
		return issuer{service: clean(u.Hostname())}
	default:
		return issuer{service: clean(u.Hostname()), url: u.String()}
	}
}

func dataOf(n authcore.Notice, i issuer) Data {
	d := Data{
		Service: i.service, Issuer: i.url, Username: clean(string(n.Username)), Code: clean(string(n.Code)),
		Minutes: int((n.Lifetime + 59e9) / 60e9), Device: linkless(n.Device), Address: "unknown",
		Time: n.At.UTC().Format("2006-01-02 15:04 UTC"),
	}
	if d.Device == "" {
		d.Device = "unknown device"
	}
	if n.Addr.IsValid() {
		d.Address = n.Addr.Unmap().WithZone("").String()
	}
	return d
}

// longest is what a text of a user's may have in a message, in code points.
const longest = 100

// clean returns text on one line, without what does not print or changes the direction of what follows.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r):
			return ' '
		case !unicode.IsGraphic(r), r == unicode.ReplacementChar:
			return -1
		default:
			return r
		}
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest]) + "…"
	}
	return text
}

// linkless is clean without what a mail program would take for a link, since a client may call itself anything.
func linkless(text string) string {
	runes := []rune(text)
	for i, r := range runes {
		switch {
		case unicode.IsLetter(r), unicode.IsMark(r), unicode.IsDigit(r), strings.ContainsRune("-_+,;()/", r):
		case r == '.' && i+1 < len(runes) && unicode.IsDigit(runes[i+1]): // of a version
		default:
			runes[i] = ' '
		}
	}
	return clean(string(runes))
}
