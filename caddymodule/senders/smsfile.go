package senders

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/chatgate/chatgate/authcore/texter"
	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/caddymodule/option"
)

func init() {
	caddy.RegisterModule(new(SMSFile))
}

// SMSFile writes each text message to a file and sends it to nobody.
type SMSFile struct {
	// The directory, where every message is a file with the name .txt; it may hold placeholders.
	Path string `json:"directory,omitempty"`

	dir string
}

// CaddyModule returns the Caddy module information.
func (*SMSFile) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "chatgate.sms.file", New: func() caddy.Module { return new(SMSFile) }}
}

// Options implements [option.Holder]. The directory is on the option's line.
func (*SMSFile) Options() option.Table { return nil }

// UnmarshalCaddyfile reads the option. Syntax:
//
//	sms file <directory>
func (f *SMSFile) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // file
	line := d.Token()
	args := d.RemainingArgs()
	if len(args) != 1 {
		return d.Err("sms file is written as: sms file <directory>, where one with spaces goes into quotes")
	}
	f.Path = args[0]
	return option.Block{Of: "sms file", Table: f.Options(), Prefixed: true}.ReadAt(d, line, f.check)
}

func (f *SMSFile) check() error {
	if f.Path == "" {
		return errNoDirectory
	}
	return nil
}

// Provision resolves placeholders.
func (f *SMSFile) Provision(caddy.Context) error {
	err := f.check()
	if err == nil {
		f.dir, err = caddy.NewReplacer().ReplaceOrErr(f.Path, true, true)
	}
	if err != nil {
		return fmt.Errorf("sms file: %w", err)
	}
	return nil
}

// Directory implements [app.FileSender].
func (f *SMSFile) Directory() string { return f.dir }

// Open implements [app.SMSModule].
func (f *SMSFile) Open() (app.Texter, error) { return openTexter(texter.Options{Dir: f.dir}) }

func openTexter(o texter.Options) (app.Texter, error) {
	t, err := texter.New(o)
	if err != nil {
		return nil, err
	}
	return countedTexts{t}, nil
}

// countedTexts is a texter whose figures are the app's.
type countedTexts struct{ *texter.Texter }

// Stats implements [app.Texter].
func (t countedTexts) Stats() app.TextStats { return app.TextStats(t.Texter.Stats()) }

// Interface guards
var (
	_ app.SMSModule         = (*SMSFile)(nil)
	_ option.Holder         = (*SMSFile)(nil)
	_ app.FileSender        = (*SMSFile)(nil)
	_ caddy.Provisioner     = (*SMSFile)(nil)
	_ caddyfile.Unmarshaler = (*SMSFile)(nil)
)
