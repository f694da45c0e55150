package senders

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/chatgate/chatgate/authcore/texter"
	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/caddymodule/option"
	"github.com/chatgate/chatgate/caddymodule/syntax"
)

func init() {
	caddy.RegisterModule(new(Webhook))
}

// Webhook hands text messages to a provider's HTTP interface. URL, Headers and Body may hold placeholders, and what is
// secret in them has to be one.
type Webhook struct {
	// An https URL, or an http URL on the same machine.
	URL string `json:"url,omitempty"`
	// "POST" (the default), "PUT" or "PATCH".
	Method string `json:"method,omitempty"`
	// Headers of the request, beside Content-Type.
	Headers map[string][]string `json:"headers,omitempty"`
	// "application/json" (the default) or "application/x-www-form-urlencoded".
	ContentType string `json:"content_type,omitempty"`
	// A template with {{.Number}} or {{.Digits}}, and {{.Text}}.
	Body string `json:"body,omitempty"`
	// How long one request may take, 100ms to 10s. Default: 4s.
	Timeout caddy.Duration `json:"timeout,omitempty"`
	// How often a request that was refused for now is made again, 0 to 5 times. Default: 1.
	Retries *int `json:"retries,omitempty"`

	options texter.Webhook // with secrets
}

// CaddyModule returns the Caddy module information.
func (*Webhook) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "chatgate.sms.webhook", New: func() caddy.Module { return new(Webhook) }}
}

// Options implements [option.Holder]. The URL is on the option's line.
func (w *Webhook) Options() option.Table {
	const bodies = "the provider decides; texter checks that it goes with the other of content_type and body"
	return option.Table{
		option.Text("method", &w.Method).Default(http.MethodPost).Must(texter.CheckMethod),
		option.Func("header", "a name and a value; the same in JSON", w.unmarshalHeader).Keys("headers").Again().Must(w.checkHeaders),
		option.Text("content_type", &w.ContentType).Default("application/json").Unbounded(bodies),
		option.Text("body", &w.Body).DefaultIs(`{"to":"{{.Number}}","text":"{{.Text}}"}`).Unbounded(bodies),
		option.Duration("timeout", &w.Timeout).DefaultOf(caddy.Duration(texter.DefaultTimeout)).Between("100ms", "10s"),
		option.Func("retries", fmt.Sprintf("it must be between 0 and %d", texter.MaxRetries), w.unmarshalRetries).
			Default(strconv.Itoa(defaultRetries)).Must(w.checkRetries),
	}
}

// UnmarshalCaddyfile reads the option. Syntax, with the defaults:
//
//	sms webhook <url> {
//	    method       POST
//	    header       <name> <value>
//	    content_type application/json
//	    body         `{"to":"{{.Number}}","text":"{{.Text}}"}`
//	    timeout      4s
//	    retries      1
//	}
//
// The body is a template: {{.Number}} is +447700900123, {{.Digits}} the same without the plus, {{.Text}} the message, each
// escaped for the content type. For a form, the default is to={{.Number}}&text={{.Text}}. There may be several headers. A
// secret is {env.NAME} or {file.path}: in the URL after a colon and before @, or as a parameter named for what it is; as
// the value of a header that is, where a scheme may stand before it; or in the body.
func (w *Webhook) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // webhook
	line := d.Token()
	args := d.RemainingArgs()
	if len(args) != 1 {
		return d.Err("sms webhook is written as: sms webhook <url>, such as https://sms.example.com/send")
	}
	w.URL = args[0]
	return option.Block{Of: "sms webhook", Table: w.Options(), Prefixed: true}.ReadAt(d, line, w.check)
}

// unmarshalRetries reads a number that may be 0, which is not the default.
func (w *Webhook) unmarshalRetries(d *caddyfile.Dispenser) error {
	w.Retries = new(int)
	return syntax.Int(d, w.Retries)
}

func (w *Webhook) unmarshalHeader(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 || strings.TrimSpace(args[0]) == "" {
		return d.Err("header is written as: header <name> <value>, where a value with spaces goes into quotes")
	}
	if err := checkHeader(args[0], args[1:]); err != nil { // while it is known which of several it is
		return d.WrapErr(err)
	}
	if w.Headers == nil {
		w.Headers = make(map[string][]string)
	}
	name := http.CanonicalHeaderKey(args[0])
	w.Headers[name] = append(w.Headers[name], args[1])
	return nil
}

const defaultRetries = 1

// Provision resolves placeholders.
func (w *Webhook) Provision(caddy.Context) error {
	err := w.check()
	if err == nil {
		w.Options().Fill()
		err = w.resolve(caddy.NewReplacer())
	}
	if err == nil {
		_, err = texter.New(texter.Options{Webhook: &w.options})
	}
	if err != nil {
		return fmt.Errorf("sms webhook: %w", err)
	}
	return nil
}

func (w *Webhook) resolve(repl *caddy.Replacer) error {
	o := texter.Webhook{
		Method: w.Method, Header: make(http.Header), ContentType: w.ContentType, Timeout: time.Duration(w.Timeout), Retries: defaultRetries,
	}
	if w.Retries != nil {
		o.Retries = *w.Retries
	}
	a, err := parseWebhook(w.URL)
	if err != nil {
		return err
	}
	if o.URL, err = a.Resolve(repl); err != nil {
		return err
	}
	for name, values := range w.Headers {
		for _, v := range values {
			v, err := repl.ReplaceOrErr(v, true, true)
			if err != nil {
				return fmt.Errorf("header %s: %w", name, err)
			}
			o.Header.Add(name, v)
		}
	}
	var placeholders []string
	o.Body, placeholders = templateOf(w.Body)
	for _, p := range placeholders {
		v, err := repl.ReplaceOrErr(p, true, true)
		if err != nil {
			return fmt.Errorf("body: %w", err)
		}
		o.Values = append(o.Values, v)
	}
	w.options = o
	return nil
}

// Open implements [app.SMSModule].
func (w *Webhook) Open() (app.Texter, error) { return openTexter(texter.Options{Webhook: &w.options}) }

// Interface guards
var (
	_ app.SMSModule         = (*Webhook)(nil)
	_ option.Holder         = (*Webhook)(nil)
	_ caddy.Provisioner     = (*Webhook)(nil)
	_ caddyfile.Unmarshaler = (*Webhook)(nil)
)
