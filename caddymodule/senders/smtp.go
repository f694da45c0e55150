package senders

import (
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/chatgate/chatgate/authcore/mailer"
	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/caddymodule/option"
	"github.com/chatgate/chatgate/caddymodule/syntax"
)

func init() {
	caddy.RegisterModule(new(SMTP))
}

// SMTP hands mail to a mail server. Every text but TLS may hold placeholders.
type SMTP struct {
	// smtp://[user:password@]host[:port] or smtps://…; a password in it has to be a placeholder.
	URL string `json:"url,omitempty"`
	// "starttls" (the default with smtp://), "implicit" (with smtps://), or "off", for a server on the same machine.
	TLS string `json:"tls,omitempty"`
	// A PEM file that says whom to trust instead of the system's authorities.
	CA string `json:"ca,omitempty"`
	// What to call ourselves. Default: the domain of From.
	Hello string `json:"hello,omitempty"`
	Messages

	server    mailer.Server // with a password
	authority string        // the contents of CA
}

// CaddyModule returns the Caddy module information.
func (*SMTP) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "chatgate.mail.smtp", New: func() caddy.Module { return new(SMTP) }}
}

// Options implements [option.Holder]. The URL is on the option's line.
func (s *SMTP) Options() option.Table {
	return option.Table{
		s.fromOption(),
		option.Func("tls", "starttls, implicit or off; mailer checks that it goes with the URL", s.unmarshalTLS).
			Default("`starttls` with `smtp://`, `implicit` with `smtps://`"),
		option.Text("ca", &s.CA).Unbounded("a file, which is read when the module is provisioned"),
		option.Text("hello", &s.Hello).DefaultIs("the domain of `from`").Must(checkHello),
		s.templatesOption(),
		s.queueOption(),
	}
}

var helloName = regexp.MustCompile(`^(?:[0-9A-Za-z](?:[0-9A-Za-z.-]{0,251}[0-9A-Za-z])?|\[[0-9A-Za-z.:]{2,64}\])$`)

func checkHello(name string) error {
	if syntax.HasPlaceholder(name) || helloName.MatchString(name) {
		return nil
	}
	return fmt.Errorf("hello is %q; it is a host's name", name)
}

func (s *SMTP) unmarshalTLS(d *caddyfile.Dispenser) error {
	return syntax.OneOf(d, &s.TLS, "starttls", "implicit", "off")
}

// UnmarshalCaddyfile reads the option. Syntax, with the defaults:
//
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
// implicit. It holds a placeholder in the place of the password, or is one. A sender with a name goes into quotes:
// "Chat <chat@example.com>". What tls off sends travels in clear. Without ca, the system's authorities are trusted.
func (s *SMTP) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // smtp
	line := d.Token()
	args := d.RemainingArgs()
	if len(args) != 1 {
		return d.Err("mail smtp is written as: mail smtp <url>, such as smtp://mail.example.com")
	}
	s.URL = args[0]
	return option.Block{Of: "mail smtp", Table: s.Options(), Prefixed: true}.ReadAt(d, line, s.check)
}

// check finds what is wrong whatever values placeholders have.
func (s *SMTP) check() error {
	if s.URL == "" {
		return errors.New("there is no URL; write one, such as smtp://mail.example.com")
	}
	a, err := syntax.ParseAddress(s.URL)
	if err == nil && len(a.Names) == 0 {
		_, err = mailer.ParseURL(s.URL, mailer.Security(s.TLS))
	} else if err == nil && a.Scheme != "" { // of the rest, one like it has to do
		_, err = mailer.ParseURL(a.Scheme+"://localhost", mailer.Security(s.TLS))
	}
	switch {
	case err != nil:
		return fmt.Errorf("the URL cannot be used: %w", err)
	case s.From == "":
		return errors.New("from is missing; set it to the sender's address")
	case s.TLS == "off" && s.CA != "":
		return option.Wrong("ca", "ca only matters with TLS")
	}
	return s.Options().Check()
}

// Provision resolves placeholders, and reads the templates and the file with the authority.
func (s *SMTP) Provision(caddy.Context) error {
	repl := caddy.NewReplacer()
	err := s.check()
	if err == nil {
		s.Options().Fill()
		err = s.Messages.resolve(repl)
	}
	if err == nil {
		err = s.resolve(repl)
	}
	if err != nil {
		return fmt.Errorf("mail smtp: %w", err)
	}
	return nil
}

func (s *SMTP) resolve(repl *caddy.Replacer) error {
	a, err := syntax.ParseAddress(s.URL)
	if err != nil {
		return err
	}
	text, err := a.Resolve(repl)
	if err != nil {
		return err
	}
	if _, err := syntax.ParseAddress(text); errors.Is(err, syntax.ErrTorn) { // what else it says is of no use here
		return fmt.Errorf("the URL cannot be used: %w", syntax.ErrTorn)
	}
	if s.server, err = mailer.ParseURL(text, mailer.Security(s.TLS)); err != nil {
		return fmt.Errorf("the URL cannot be used: %w", err)
	}
	if s.server.Hello, err = repl.ReplaceOrErr(s.Hello, true, true); err != nil {
		return err
	}
	if s.server.Hello != "" && !helloName.MatchString(s.server.Hello) {
		return fmt.Errorf("hello %s is not a host's name", s.Hello) // and no more, since it may be a secret
	}
	if _, s.authority, err = syntax.ReadFile(repl, s.CA); err != nil {
		return fmt.Errorf("ca %s: %w", s.CA, err)
	}
	if s.CA != "" {
		s.server.RootCAs = x509.NewCertPool()
		if !s.server.RootCAs.AppendCertsFromPEM([]byte(s.authority)) {
			return fmt.Errorf("ca %s: there is no PEM certificate in it", s.CA)
		}
	}
	return nil
}

// Fingerprint implements [app.MailModule].
func (s *SMTP) Fingerprint(issuer string) string {
	v := s.server
	return s.fingerprint(issuer, "smtp", v.Host, v.Port, string(v.Security), v.User, string(v.Password), v.Hello, s.authority)
}

// Open implements [app.MailModule].
func (s *SMTP) Open(issuer string) (app.Mailer, error) { return s.open(issuer, &s.server, "") }

// Interface guards
var (
	_ app.MailModule        = (*SMTP)(nil)
	_ option.Holder         = (*SMTP)(nil)
	_ caddy.Provisioner     = (*SMTP)(nil)
	_ caddyfile.Unmarshaler = (*SMTP)(nil)
)
