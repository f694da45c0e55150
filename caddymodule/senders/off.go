package senders

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/caddymodule/option"
)

func init() {
	caddy.RegisterModule(new(MailOff))
	caddy.RegisterModule(new(SMSOff))
}

// MailOff sends no mail. It is the default.
type MailOff struct{}

// CaddyModule returns the Caddy module information.
func (*MailOff) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "chatgate.mail.off", New: func() caddy.Module { return new(MailOff) }}
}

// Options implements [option.Holder].
func (*MailOff) Options() option.Table { return nil }

// UnmarshalCaddyfile reads the option. Syntax:
//
//	mail off
func (*MailOff) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return unmarshalOff(d, "mail off") }

// Fingerprint implements [app.MailModule].
func (*MailOff) Fingerprint(string) string { return "" }

// Open implements [app.MailModule].
func (*MailOff) Open(string) (app.Mailer, error) { return nil, nil }

// SMSOff sends no text messages, so that nobody can register with a phone number. It is the default.
type SMSOff struct{}

// CaddyModule returns the Caddy module information.
func (*SMSOff) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "chatgate.sms.off", New: func() caddy.Module { return new(SMSOff) }}
}

// Options implements [option.Holder].
func (*SMSOff) Options() option.Table { return nil }

// UnmarshalCaddyfile reads the option. Syntax:
//
//	sms off
func (*SMSOff) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return unmarshalOff(d, "sms off") }

// Open implements [app.SMSModule].
func (*SMSOff) Open() (app.Texter, error) { return nil, nil }

func unmarshalOff(d *caddyfile.Dispenser, what string) error {
	d.Next() // off
	if d.NextArg() {
		return d.Errf("%s takes nothing more", what)
	}
	_, err := option.Block{Of: what}.Read(d)
	return err
}

// Interface guards
var (
	_ app.MailModule        = (*MailOff)(nil)
	_ option.Holder         = (*MailOff)(nil)
	_ caddyfile.Unmarshaler = (*MailOff)(nil)
	_ app.SMSModule         = (*SMSOff)(nil)
	_ option.Holder         = (*SMSOff)(nil)
	_ caddyfile.Unmarshaler = (*SMSOff)(nil)
)
