package app

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/chatgate/chatgate/caddymodule/syntax"
)

// unmarshalSMS reads how text messages leave. Syntax, with the defaults:
//
//	sms off
//	sms file <directory>
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
func (a *App) unmarshalSMS(d *caddyfile.Dispenser) error {
	line := d.Token()
	args := d.RemainingArgs()
	c := new(SMSConfig)
	switch {
	case len(args) == 1 && args[0] == "off":
	case len(args) == 2 && args[0] == "file":
		c.Directory = args[1]
	case len(args) == 2 && args[0] == "webhook":
		c.URL = args[1]
	case len(args) > 0 && args[0] == "off":
		return d.Err("sms off takes nothing more")
	case len(args) > 0 && args[0] == "file":
		return d.Err("sms file is written as: sms file <directory>, where one with spaces goes into quotes")
	case len(args) > 0 && args[0] == "webhook":
		return d.Err("sms webhook is written as: sms webhook <url>, such as https://sms.example.com/send")
	default:
		return d.Err("sms is written as: sms off, as: sms file <directory>, or as: sms webhook <url>")
	}
	c.Transport = args[0]
	a.SMS = c
	at := make(map[string]caddyfile.Token)
	seen := make(syntax.Once)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if option != "header" { // of which there may be several
			if err := seen.See(d); err != nil {
				return err
			}
		}
		token := d.Token()
		name, err := c.unmarshalOption(d, option)
		if err != nil {
			return err
		}
		at[name] = token
	}
	err := c.check()
	if e, ok := errors.AsType[*storeError](err); ok {
		if t, ok := at[e.option]; ok {
			line = t
		}
	}
	if err != nil {
		return syntax.At(line, err)
	}
	return nil
}

// unmarshalOption returns what errors call the option that it read.
func (c *SMSConfig) unmarshalOption(d *caddyfile.Dispenser, option string) (string, error) {
	switch option {
	case "method":
		return option, syntax.One(d, &c.Method)
	case "header":
		args := d.RemainingArgs()
		if len(args) != 2 || strings.TrimSpace(args[0]) == "" {
			return "", d.Err("header is written as: header <name> <value>, where a value with spaces goes into quotes")
		}
		name := http.CanonicalHeaderKey(args[0])
		if c.Headers == nil {
			c.Headers = make(map[string][]string)
		}
		if err := checkSMSHeader(args[0], args[1:]); err != nil {
			return "", d.WrapErr(err)
		}
		c.Headers[name] = append(c.Headers[name], args[1])
		return "header " + name, nil
	case "content_type":
		return option, syntax.One(d, &c.ContentType)
	case "body":
		return option, syntax.One(d, &c.Body)
	case "timeout":
		return option, syntax.Duration(d, &c.Timeout)
	case "retries":
		c.Retries = new(int)
		return option, syntax.Int(d, c.Retries)
	}
	const names = "method, header, content_type, body, timeout and retries"
	if strings.ContainsAny(option, ":=@") { // something out of place, perhaps with a secret
		return "", d.Errf("unknown option of sms; there are %s", names)
	}
	return "", d.Errf("unknown option %q of sms; there are %s", option, names)
}

// unmarshalCountries reads whose phone numbers are accepted.
func (a *App) unmarshalCountries(d *caddyfile.Dispenser) error {
	a.PhoneCountries = d.RemainingArgs()
	if len(a.PhoneCountries) == 0 || slices.Contains(a.PhoneCountries, "") {
		return d.Err("phone_countries is written as: phone_countries <code>..., such as: phone_countries DE AT CH")
	}
	return nil
}
