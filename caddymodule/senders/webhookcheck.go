package senders

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/chatgate/chatgate/authcore/texter"
	"github.com/chatgate/chatgate/caddymodule/option"
	"github.com/chatgate/chatgate/caddymodule/syntax"
)

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

// check finds what is wrong whatever values placeholders have.
func (w *Webhook) check() error {
	if w.URL == "" {
		return errors.New("there is no URL; write one, such as https://sms.example.com/send")
	}
	a, err := parseWebhook(w.URL)
	if err == nil && len(a.Names) == 0 {
		err = texter.CheckURL(w.URL)
	}
	if err != nil {
		return fmt.Errorf("the URL cannot be used: %w", err)
	}
	if err := w.Options().Check(); err != nil {
		return err
	}
	return w.checkBody()
}

func (w *Webhook) checkBody() error {
	for _, m := range bodySecret.FindAllStringSubmatch(w.Body, -1) {
		value := m[1] + m[2]
		if value != "" && bodyPlaceholder.ReplaceAllString(value, "") != "" && !strings.HasPrefix(value, "{{") {
			return option.Wrong("body", "body: %w", errClearSecret)
		}
	}
	text, values := templateOf(w.Body)
	if err := texter.CheckBody(w.ContentType, text, len(values)); err != nil {
		name := "body"
		if strings.HasPrefix(err.Error(), "content_type") {
			name = "content_type"
		}
		return option.Wrong(name, "%w", err)
	}
	return nil
}

func (w *Webhook) checkRetries() error {
	if w.Retries == nil {
		return nil
	}
	return texter.CheckRetries(*w.Retries)
}

func (w *Webhook) checkHeaders() error {
	for name, values := range w.Headers {
		if err := checkHeader(name, values); err != nil {
			return err
		}
	}
	return nil
}

// checkHeader finds a secret, and what no header can be. No error shows a value.
func checkHeader(name string, values []string) error {
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

// parseWebhook is ParseAddress for a URL that may have secrets of other names in its query.
func parseWebhook(text string) (syntax.Address, error) {
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
