package senders

import (
	"log/slog"
	"net/url"
	"strconv"

	"github.com/caddyserver/caddy/v2"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/mailer"
	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/caddymodule/option"
	"github.com/chatgate/chatgate/caddymodule/syntax"
)

// Messages are the options that every way for mail to leave has. The texts may hold placeholders.
type Messages struct {
	// An address, or a name with one, that messages are from. Default: chatgate@<host of the issuer>; required for smtp.
	From string `json:"from,omitempty"`
	// A directory of templates that stand in for built-in ones.
	Templates string `json:"templates,omitempty"`
	// Messages that may wait, 1 to 100000. Default: 1000.
	Queue int `json:"queue,omitempty"`

	from      mailer.Sender // zero: the default
	templates *mailer.Templates
}

func (m *Messages) fromOption() option.Option {
	return option.Text("from", &m.From).Must(func(from string) error {
		if syntax.HasPlaceholder(from) {
			return nil // checked once it has a value
		}
		_, err := mailer.ParseSender(from)
		return err
	})
}

func (m *Messages) templatesOption() option.Option {
	return option.Text("templates", &m.Templates).Unbounded("a directory, which is read when the module is provisioned")
}

func (m *Messages) queueOption() option.Option {
	return option.Count("queue", &m.Queue).Default("1000").Between("1", "100000")
}

// resolve reads the templates.
func (m *Messages) resolve(repl *caddy.Replacer) error {
	from, err := repl.ReplaceOrErr(m.From, true, true)
	if err != nil {
		return err
	}
	if from != "" {
		if m.from, err = mailer.ParseSender(from); err != nil {
			return err
		}
	}
	dir, err := repl.ReplaceOrErr(m.Templates, true, true)
	if err == nil {
		m.templates, err = mailer.LoadTemplates(dir)
	}
	return err
}

// sender returns whom messages are from.
func (m *Messages) sender(issuer string) mailer.Sender {
	if m.from != (mailer.Sender{}) {
		return m.from
	}
	from, _ := mailer.ParseSender("chatgate@" + senderDomain(issuer)) // which is an address
	return from
}

// senderDomain is the issuer's host, if that can have mail.
func senderDomain(issuer string) string {
	if u, err := url.Parse(issuer); err == nil {
		if _, err := authcore.ParseEmail("chatgate@" + u.Hostname()); err == nil {
			return u.Hostname()
		}
	}
	return "chatgate.invalid"
}

// fingerprint returns that of a mailer, which has a way out besides.
func (m *Messages) fingerprint(issuer string, way ...string) string {
	return app.Fingerprint(append(way, m.sender(issuer).String(), m.templates.Fingerprint(), issuer, strconv.Itoa(m.Queue))...)
}

// open makes a mailer with a way out.
func (m *Messages) open(issuer string, server *mailer.Server, dir string) (app.Mailer, error) {
	open, err := mailer.New(mailer.Options{
		Server: server, Dir: dir, From: m.sender(issuer), Issuer: issuer, Templates: m.templates, Queue: m.Queue,
		Log: slog.New(app.ProcessLog{}),
	})
	if err != nil {
		return nil, err
	}
	return counted{open}, nil
}

// counted is a mailer whose figures are the app's.
type counted struct{ *mailer.Mailer }

// Stats implements [app.Mailer].
func (m counted) Stats() app.MailStats { return app.MailStats(m.Mailer.Stats()) }
