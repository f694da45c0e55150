package senders

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/caddymodule/option"
)

func init() {
	caddy.RegisterModule(new(MailFile))
}

// MailFile writes each message to a file and sends it to nobody.
type MailFile struct {
	// The directory, where every message is a file with the name .eml; it may hold placeholders.
	Path string `json:"directory,omitempty"`
	Messages

	dir string
}

// CaddyModule returns the Caddy module information.
func (*MailFile) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "chatgate.mail.file", New: func() caddy.Module { return new(MailFile) }}
}

// Options implements [option.Holder]. The directory is on the option's line.
func (f *MailFile) Options() option.Table {
	return option.Table{f.fromOption(), f.templatesOption(), f.queueOption()}
}

// UnmarshalCaddyfile reads the option. Syntax, with the defaults:
//
//	mail file <directory> {
//	    from      chatgate@<host of the issuer>
//	    templates <directory>
//	    queue     1000
//	}
func (f *MailFile) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // file
	line := d.Token()
	args := d.RemainingArgs()
	if len(args) != 1 {
		return d.Err("mail file is written as: mail file <directory>, where one with spaces goes into quotes")
	}
	f.Path = args[0]
	return option.Block{Of: "mail file", Table: f.Options(), Prefixed: true}.ReadAt(d, line, f.check)
}

func (f *MailFile) check() error {
	if f.Path == "" {
		return errNoDirectory
	}
	return f.Options().Check()
}

var errNoDirectory = errors.New("there is no directory to write messages to")

// Provision resolves placeholders and reads the templates.
func (f *MailFile) Provision(caddy.Context) error {
	repl := caddy.NewReplacer()
	err := f.check()
	if err == nil {
		f.Options().Fill()
		err = f.Messages.resolve(repl)
	}
	if err == nil {
		f.dir, err = repl.ReplaceOrErr(f.Path, true, true)
	}
	if err != nil {
		return fmt.Errorf("mail file: %w", err)
	}
	return nil
}

// Directory implements [app.FileSender].
func (f *MailFile) Directory() string { return f.dir }

// Fingerprint implements [app.MailModule].
func (f *MailFile) Fingerprint(issuer string) string { return f.fingerprint(issuer, "file", f.dir) }

// Open implements [app.MailModule].
func (f *MailFile) Open(issuer string) (app.Mailer, error) { return f.open(issuer, nil, f.dir) }

// Interface guards
var (
	_ app.MailModule        = (*MailFile)(nil)
	_ option.Holder         = (*MailFile)(nil)
	_ app.FileSender        = (*MailFile)(nil)
	_ caddy.Provisioner     = (*MailFile)(nil)
	_ caddyfile.Unmarshaler = (*MailFile)(nil)
)
