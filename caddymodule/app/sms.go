package app

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/texter"
	"github.com/chatgate/chatgate/caddymodule/syntax"
)

// SMSConfig says how text messages leave. Directory, URL, Headers and Body may hold placeholders, and what is secret in
// them has to be one.
type SMSConfig struct {
	Transport string `json:"transport"` // "off", "file" or "webhook"

	Directory string `json:"directory,omitempty"` // file: where messages are written to, one .txt each

	// The rest is of webhook.
	URL         string              `json:"url,omitempty"`          // https, or http on the same machine
	Method      string              `json:"method,omitempty"`       // "POST" (the default), "PUT" or "PATCH"
	Headers     map[string][]string `json:"headers,omitempty"`      //
	ContentType string              `json:"content_type,omitempty"` // "application/json" (the default) or "application/x-www-form-urlencoded"
	Body        string              `json:"body,omitempty"`         // a template with {{.Number}} or {{.Digits}}, and {{.Text}}
	Timeout     caddy.Duration      `json:"timeout,omitempty"`      // of one request: 4s
	Retries     *int                `json:"retries,omitempty"`      // after one that was refused for now: 1
}

const defaultRetries = 1

var (
	errClearSecret = errors.New("a secret is written in it, and Caddy saves its configuration and shows it; " +
		"write {env.NAME} or {file.path} in its place")

	secretName = regexp.MustCompile(`(?i)authorization|cookie|key|token|secret|passw|pwd|credential|signature`)

	// A scheme may stand before the secret of a header.
	maskedSecret = regexp.MustCompile(`^(?:[A-Za-z][A-Za-z-]{0,19}[ =])?` + syntax.Hole + `+$`)

	// What a secret of a body looks like: a member of JSON, or a field of a form.
	bodySecret = regexp.MustCompile(`(?i)(?:"[^"]*(?:key|token|secret|passw|pwd|credential)[^"]*"\s*:\s*"([^"]*)"|(?:^|&)[^&={]*(?:key|token|secret|passw|pwd|credential)[^&={]*=([^&]*))`)

	// What of a body is a placeholder of Caddy's: one of the template has two braces.
	bodyPlaceholder = regexp.MustCompile(`\{(?:env|file)\.[^{}]+\}`)
)

// check finds what is wrong with c whatever values placeholders have.
func (c *SMSConfig) check() error {
	if c == nil {
		return nil
	}
	fail := func(option string, err error) error { return &storeError{"sms " + c.Transport, option, err} }
	switch c.Transport {
	case "off", "file":
		for option, is := range map[string]bool{
			"url": c.URL != "", "method": c.Method != "", "header": len(c.Headers) > 0, "content_type": c.ContentType != "",
			"body": c.Body != "", "timeout": c.Timeout != 0, "retries": c.Retries != nil,
		} {
			if is {
				return fail(option, fmt.Errorf("%s is an option of webhook", option))
			}
		}
	case "webhook":
		return c.checkWebhook(fail)
	default:
		return fmt.Errorf("sms %q is unknown; it is off, file or webhook", c.Transport)
	}
	switch {
	case c.Transport == "off" && c.Directory != "":
		return fail("directory", errors.New("directory is an option of file"))
	case c.Transport == "file" && c.Directory == "":
		return fail("", errors.New("there is no directory to write messages to"))
	}
	return nil
}

func (c *SMSConfig) checkWebhook(fail func(string, error) error) error {
	if c.Directory != "" {
		return fail("directory", errors.New("directory is an option of file"))
	}
	if c.URL == "" {
		return fail("", errors.New("there is no URL, such as https://sms.example.com/send"))
	}
	a, err := parseSMSAddress(c.URL)
	if err == nil && len(a.Names) == 0 {
		err = texter.CheckURL(c.URL)
	}
	if err != nil {
		return fail("", fmt.Errorf("the URL cannot be used: %w", err))
	}
	if c.Method != "" && !slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch}, c.Method) {
		return fail("method", fmt.Errorf("method is %q; it is POST, PUT or PATCH", c.Method))
	}
	for name, values := range c.Headers {
		if err := checkSMSHeader(name, values); err != nil {
			return fail("header "+http.CanonicalHeaderKey(name), err)
		}
	}
	for _, m := range bodySecret.FindAllStringSubmatch(c.Body, -1) {
		value := m[1] + m[2]
		if value != "" && bodyPlaceholder.ReplaceAllString(value, "") != "" && !strings.HasPrefix(value, "{{") {
			return fail("body", fmt.Errorf("body: %w", errClearSecret))
		}
	}
	text, values := templateOf(c.Body)
	if err := texter.CheckBody(c.ContentType, text, len(values)); err != nil {
		option := "body"
		if strings.HasPrefix(err.Error(), "content_type") {
			option = "content_type"
		}
		return fail(option, err)
	}
	if err := inRange(fail, "timeout", c.Timeout, caddy.Duration(100*time.Millisecond), caddy.Duration(10*time.Second), durationText); err != nil {
		return err
	}
	if c.Retries != nil && (*c.Retries < 0 || *c.Retries > texter.MaxRetries) {
		return fail("retries", fmt.Errorf("retries is %d; it must be between 0 and %d", *c.Retries, texter.MaxRetries))
	}
	return nil
}

// checkSMSHeader finds a secret, and what no header can be. No error shows a value.
func checkSMSHeader(name string, values []string) error {
	if err := texter.CheckHeader(name); err != nil {
		return err
	}
	for _, v := range values {
		masked, names := syntax.Mask(v)
		for _, n := range names {
			if !strings.HasPrefix(n, "env.") && !strings.HasPrefix(n, "file.") {
				return fmt.Errorf("header %s: %w", name, syntax.ErrPlaceholder)
			}
		}
		if secretName.MatchString(name) && !maskedSecret.MatchString(masked) {
			return fmt.Errorf("header %s: %w", name, errClearSecret)
		}
	}
	return nil
}

// parseSMSAddress is ParseAddress for a URL that may have secrets of other names in its query.
func parseSMSAddress(text string) (syntax.Address, error) {
	a, err := syntax.ParseAddress(text)
	if err == nil && !a.HideParameters(secretName.MatchString) {
		err = errClearSecret
	}
	return a, err
}

// templateOf returns a body with its placeholders as values of the template, and those placeholders.
func templateOf(body string) (text string, placeholders []string) {
	text = bodyPlaceholder.ReplaceAllStringFunc(body, func(p string) string {
		placeholders = append(placeholders, p)
		return fmt.Sprintf("{{index .Values %d}}", len(placeholders)-1)
	})
	return text, placeholders
}

// resolve returns how text messages leave, with every placeholder resolved, or nil where they do not.
func (c *SMSConfig) resolve(repl *caddy.Replacer) (*texter.Options, error) {
	if err := c.check(); err != nil || c == nil || c.Transport == "off" {
		return nil, err
	}
	fail := func(err error) (*texter.Options, error) {
		return nil, &storeError{store: "sms " + c.Transport, err: err}
	}
	if c.Transport == "file" {
		dir, err := repl.ReplaceOrErr(c.Directory, true, true)
		if err != nil {
			return fail(err)
		}
		return &texter.Options{Dir: dir}, nil
	}
	w := &texter.Webhook{
		Method: c.Method, Header: make(http.Header), ContentType: c.ContentType, Timeout: time.Duration(c.Timeout), Retries: defaultRetries,
	}
	if c.Retries != nil {
		w.Retries = *c.Retries
	}
	a, err := parseSMSAddress(c.URL)
	if err != nil {
		return fail(err)
	}
	if w.URL, err = a.Resolve(repl); err != nil {
		return fail(err)
	}
	for name, values := range c.Headers {
		for _, v := range values {
			v, err := repl.ReplaceOrErr(v, true, true)
			if err != nil {
				return fail(fmt.Errorf("header %s: %w", name, err))
			}
			w.Header.Add(name, v)
		}
	}
	var placeholders []string
	w.Body, placeholders = templateOf(c.Body)
	for _, p := range placeholders {
		v, err := repl.ReplaceOrErr(p, true, true)
		if err != nil {
			return fail(fmt.Errorf("body: %w", err))
		}
		w.Values = append(w.Values, v)
	}
	o := &texter.Options{Webhook: w}
	if _, err := texter.New(*o); err != nil {
		return fail(err)
	}
	return o, nil
}

// texting returns what text messages leave by, or nil if they are off.
func (a *App) texting() (authcore.Texter, error) {
	if a.sms == nil {
		return nil, nil
	}
	if a.texter == nil {
		t, err := texter.New(*a.sms)
		if err != nil {
			return nil, fmt.Errorf("sms: %w", err)
		}
		texted.add(t)
		a.texter = t
	}
	return a.texter, nil
}

// closeTexts is for when nobody uses the service any more.
func (a *App) closeTexts() {
	if a.texter != nil {
		a.texter.Close()
		texted.remove(a.texter)
		a.texter = nil
	}
}

// warnOfTexts says what an operator may not have thought of.
func (a *App) warnOfTexts() {
	switch {
	case a.sms == nil:
	case a.sms.Dir != "":
		a.logger.Warn("text messages are written to files, and sent to nobody", zap.String("directory", a.sms.Dir))
	case len(a.PhoneCountries) == 0:
		a.logger.Warn("text messages are sent to every country, and some are dear; phone_countries says to which")
	}
}
