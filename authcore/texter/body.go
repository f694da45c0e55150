package texter

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"strings"
	"text/template"
)

// The default bodies.
const (
	defaultType = "application/json"
	defaultJSON = `{"to":"{{.Number}}","text":"{{.Text}}"}`
	defaultForm = `to={{.Number}}&text={{.Text}}`
)

// bodyData is the data for the template of a body, escaped for its content type.
type bodyData struct {
	Number string   // in E.164 form
	Digits string   // the same without the "+"
	Text   string   // of the message
	Values []string // see Webhook
}

// body makes request bodies.
type body struct {
	template *template.Template
	escape   func(string) string
	values   []string // escaped
}

// inJSON escapes for a place between quotes.
func inJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil { // cannot happen
		return ""
	}
	return string(b[1 : len(b)-1])
}

// parseBody parses a template, and tries it with a message that needs escaping.
func parseBody(contentType, text string, values []string) (*body, error) {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, fmt.Errorf("content_type %q is malformed; write application/json or application/x-www-form-urlencoded", contentType)
	}
	b := &body{escape: inJSON}
	valid := func(made string) bool { return json.Valid([]byte(made)) }
	switch {
	case media == "application/json" || strings.HasSuffix(media, "+json"):
		text = cmp.Or(text, defaultJSON)
	case media == "application/x-www-form-urlencoded":
		text = cmp.Or(text, defaultForm)
		b.escape = url.QueryEscape
		valid = func(made string) bool { _, err := url.ParseQuery(made); return err == nil }
	default:
		return nil, fmt.Errorf("content_type is %q; it is application/json or application/x-www-form-urlencoded", media)
	}
	for _, v := range values {
		b.values = append(b.values, b.escape(v))
	}
	// The parser's error may quote the template, which may hold secrets.
	if b.template, err = template.New("body").Parse(text); err != nil {
		return nil, errors.New("body is not a valid template; it must have {{.Number}} or {{.Digits}}, and {{.Text}}")
	}
	const number, message = "+447700900123", "a \"b\" & c=d \\\n%é"
	made, err := b.make(number, message)
	switch {
	case err != nil:
		return nil, errors.New("body may have only {{.Number}}, {{.Digits}} and {{.Text}} in braces")
	case !strings.Contains(made, b.escape(number)) && !strings.Contains(made, number[1:]) || !strings.Contains(made, b.escape(message)):
		return nil, errors.New("body must have {{.Number}} or {{.Digits}}, and {{.Text}}")
	case !valid(made):
		return nil, fmt.Errorf("body does not make valid %s; in JSON, write {{.Number}} and {{.Text}} between quotes", media)
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
