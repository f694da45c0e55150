package mailer

import (
	"net/url"
	"strings"
	"unicode"

	"github.com/chatgate/chatgate/authcore"
)

// Data is the data for templates of bodies. Text that users chose has no control characters, and mail programs make no
// link of it.
type Data struct {
	Service  string // the issuer's host
	Issuer   string // an https URL; empty if the issuer is not one
	Username string
	Code     string // empty in a notice without one
	Minutes  int    // how long the code is valid
	Device   string // of the client, such as "Firefox on Linux"
	Address  string // of the client
	Time     string // UTC
}

// subjectData is the data for templates of subjects. No text of a user gets into a header.
type subjectData struct{ Service string }

// issuer is the part of the data that comes from the issuer.
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
		Service: i.service, Issuer: i.url, Username: hostless(string(n.Username)), Code: clean(string(n.Code)),
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

// longest is the maximum of a user's text in a message, in code points.
const longest = 100

// clean returns text on one line, without characters that do not print or that change the direction of the text.
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

// hostless is clean without what makes a mail program take a username for a host, a URL or an address, and a link of it.
func hostless(text string) string {
	return clean(strings.Map(func(r rune) rune {
		if strings.ContainsRune(".:/@", r) {
			return ' '
		}
		return r
	}, text))
}

// linkless is clean without characters that could make a link, because a client chooses its own name.
func linkless(text string) string {
	runes := []rune(text)
	for i, r := range runes {
		switch {
		case unicode.IsLetter(r), unicode.IsMark(r), unicode.IsDigit(r), strings.ContainsRune("-_+,;()/", r):
		case r == '.' && i+1 < len(runes) && unicode.IsDigit(runes[i+1]): // in a version
		default:
			runes[i] = ' '
		}
	}
	return clean(string(runes))
}
