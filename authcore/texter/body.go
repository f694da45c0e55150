package texter

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"strings"
	"text/template"
)

// The bodies of those who say nothing about theirs.
const (
	defaultType = "application/json"
	defaultJSON = `{"to":"{{.Number}}","text":"{{.Text}}"}`
	defaultForm = `to={{.Number}}&text={{.Text}}`
)

// bodyData is what a template of a body is given, escaped for its content type.
type bodyData struct {
	Number string   // in E.164 form
	Digits string   // the same without the "+"
	Text   string   // of the message
	Values []string // see Webhook
}

// body makes the bodies of requests.
type body struct {
	template *template.Template
	escape   func(string) string
	values   []string // escaped
}

// inJSON escapes for a place between quotes.
func inJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil { // there is no such string
		return ""
	}
	return string(b[1 : len(b)-1])
}

// parseBody checks a template by its result for a message that needs escaping.
func parseBody(contentType, text string, values []string) (*body, error) {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, fmt.Errorf("content_type %q is none", contentType)
	}
	b := &body{escape: inJSON}
	valid := func(made string) bool { return json.Valid([]byte(made)) }
	switch {
	case media == "application/json" || strings.HasSuffix(media, "+json"):
		text = orElse(text, defaultJSON)
	case media == "application/x-www-form-urlencoded":
		text = orElse(text, defaultForm)
		b.escape = url.QueryEscape
		valid = func(made string) bool { _, err := url.ParseQuery(made); return err == nil }
	default:
		return nil, fmt.Errorf("content_type is %q; it is application/json or application/x-www-form-urlencoded", media)
	}
	for _, v := range values {
		b.values = append(b.values, b.escape(v))
	}
	// What a parser says may quote the template.
	if b.template, err = template.New("body").Parse(text); err != nil {
		return nil, errors.New("body is no template; it has {{.Number}} or {{.Digits}}, and {{.Text}}")
	}
	const number, message = "+447700900123", "a \"b\" & c=d \\\n%é"
	made, err := b.make(number, message)
	switch {
	case err != nil:
		return nil, errors.New("body has something else in braces than {{.Number}}, {{.Digits}} and {{.Text}}")
	case !strings.Contains(made, b.escape(number)) && !strings.Contains(made, number[1:]) || !strings.Contains(made, b.escape(message)):
		return nil, errors.New("body lacks {{.Text}}, or both {{.Number}} and {{.Digits}}")
	case !valid(made):
		return nil, fmt.Errorf("body makes no valid %s; in JSON, {{.Number}} and {{.Text}} stand between quotes", media)
	}
	return b, nil
}

func (b *body) make(number, text string) (string, error) {
	var out strings.Builder
	err := b.template.Execute(&out, bodyData{
		Number: b.escape(number), Digits: strings.TrimPrefix(number, "+"), Text: b.escape(text), Values: b.values,
	})
	return out.String(), err
}

func orElse[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
