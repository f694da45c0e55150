package app

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/chatgate/chatgate/caddymodule/syntax"
)

// unmarshalMail reads how e-mail leaves. Syntax, with the defaults:
//
//	mail off
//	mail file <directory> {
//	    from      chatgate@<host of the issuer>
//	    templates <directory>
//	    queue     1000
//	}
//	mail smtp <url> {
//	    from      <address>
//	    tls       starttls | implicit | off
//	    ca        <file>
//	    hello     <domain of from>
//	    templates <directory>
//	    queue     1000
//	}
//
// The URL is smtp://[user:password@]host[:587], where tls is starttls, or smtps://[user:password@]host[:465], where it is
// implicit. It holds a placeholder in the place of the password, or is one. Mail over smtp needs from; with a name, that
// goes into quotes: "Chat <chat@example.com>". What tls off sends travels in clear, so it is for a server on the same
// machine. Without ca, the system's authorities are trusted.
func (a *App) unmarshalMail(d *caddyfile.Dispenser) error {
	line := d.Token()
	args := d.RemainingArgs()
	c := new(MailConfig)
	switch {
	case len(args) == 1 && args[0] == "off":
	case len(args) == 2 && args[0] == "file":
		c.Directory = args[1]
	case len(args) == 2 && args[0] == "smtp":
		c.URL = args[1]
	case len(args) > 0 && args[0] == "off":
		return d.Err("mail off takes nothing more")
	case len(args) > 0 && args[0] == "file":
		return d.Err("mail file is written as: mail file <directory>, where one with spaces goes into quotes")
	case len(args) > 0 && args[0] == "smtp":
		return d.Err("mail smtp is written as: mail smtp <url>, such as smtp://mail.example.com")
	default:
		return d.Err("mail is written as: mail off, as: mail file <directory>, or as: mail smtp <url>")
	}
	c.Transport = args[0]
	a.Mail = c
	return unmarshalStore(d, line, c.check, map[string]func() error{
		"from":      func() error { return syntax.One(d, &c.From) },
		"tls":       func() error { return syntax.OneOf(d, &c.TLS, "starttls", "implicit", "off") },
		"ca":        func() error { return syntax.One(d, &c.CA) },
		"hello":     func() error { return syntax.One(d, &c.Hello) },
		"templates": func() error { return syntax.One(d, &c.Templates) },
		"queue":     func() error { return syntax.Count(d, &c.Queue) },
	}, "mail", "from, tls, ca, hello, templates and queue")
}

// unmarshalFirstInvite reads an invite that an operator chose. Syntax, with the defaults:
//
//	first_invite {env.NAME} | {file.path} {
//	    uses     1
//	    lifetime 30d
//	}
func (a *App) unmarshalFirstInvite(d *caddyfile.Dispenser) error {
	line := d.Token()
	args := d.RemainingArgs()
	if len(args) != 1 || strings.TrimSpace(args[0]) == "" {
		return d.Err("first_invite is written as: first_invite {env.NAME}")
	}
	c := &InviteConfig{Code: args[0]}
	a.FirstInvite = c
	return unmarshalStore(d, line, c.check, map[string]func() error{
		"uses":     func() error { return syntax.Count(d, &c.Uses) },
		"lifetime": func() error { return syntax.Duration(d, &c.Lifetime) },
	}, "first_invite", "uses and lifetime")
}
