package dialect

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/chatgate/chatgate/authcore"
)

// maxBody bounds the body of an account call, in bytes.
const maxBody = 64 << 10

// Bodies says which media types a dialect takes.
type Bodies uint8

const (
	JSONAsAnything Bodies = iota // JSON, whatever it is said to be
	JSONOnly                     // JSON, said to be that or nothing
	JSONOrForm                   // or a form of application/x-www-form-urlencoded
)

// Decode reads the body into dst, strictly: one JSON object, or a form as if it were the object of its fields. Valid
// UTF-8, no repeated, unknown or differently spelled members, nothing behind it, no NUL in what a client chose (most
// stores cannot keep it).
func (c *Call) Decode(dst any) error {
	form, err := c.Settings.Bodies.isForm(c.Request.Header)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxBody))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return authcore.Errorf(authcore.KindInvalidInput, "the body is larger than %d bytes", maxBody)
		}
		return &authcore.Error{Kind: authcore.KindInvalidInput, Msg: "the body could not be read", Err: err}
	}
	what := "the JSON object"
	if form {
		what = "the form"
		body, err = formAsJSON(string(body))
	}
	switch {
	case err != nil:
	case hasNUL(body):
		return authcore.Errorf(authcore.KindInvalidInput, "the body has a NUL character")
	case !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")): // null would be an object of nothing
		err = errors.New("no object")
	default:
		err = json.Unmarshal(body, dst, json.RejectUnknownMembers(true))
	}
	if err != nil {
		return &authcore.Error{Kind: authcore.KindInvalidInput, Msg: "the body is not " + what + " that is expected here", Err: err}
	}
	return nil
}

// isForm judges the media type of a body. That of a page of another site is text/plain where the page could not ask
// first, so nothing is taken for JSON that is said to be something else.
func (b Bodies) isForm(h http.Header) (bool, error) {
	types := h["Content-Type"]
	if b == JSONAsAnything || len(types) == 0 {
		return false, nil
	}
	media, params, err := mime.ParseMediaType(types[0])
	charset, given := params["charset"]
	if len(types) == 1 && err == nil && (!given || isUTF8(charset)) {
		switch {
		case media == "application/json":
			return false, nil
		case media == "application/x-www-form-urlencoded" && b == JSONOrForm:
			return true, nil
		}
	}
	want := "application/json"
	if b == JSONOrForm {
		want += " or application/x-www-form-urlencoded"
	}
	return false, &authcore.Error{Kind: authcore.KindInvalidInput, Msg: "the Content-Type is to be " + want, Err: err}
}

// isUTF8 knows UTF-8 by its name and by the one that many programs give it (https://encoding.spec.whatwg.org/#names-and-labels).
func isUTF8(charset string) bool {
	return strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8")
}

// formAsJSON returns the JSON object of the fields of a form, each of which is there once.
func formAsJSON(body string) ([]byte, error) {
	fields, err := url.ParseQuery(body)
	if err != nil {
		return nil, err
	}
	object := make(map[string]string, len(fields))
	for name, values := range fields {
		if len(values) > 1 {
			return nil, errors.New("a field is repeated")
		}
		object[name] = values[0]
	}
	return json.Marshal(object) // which refuses invalid UTF-8
}

// hasNUL reports whether a JSON text spells a NUL character: an escape that is not itself escaped.
func hasNUL(body []byte) bool {
	const nul = `\u0000`
	for rest := body; ; {
		i := bytes.Index(rest, []byte(nul))
		if i < 0 {
			return false
		}
		before := bytes.TrimRight(rest[:i], `\`)
		if (i-len(before))%2 == 0 {
			return true
		}
		rest = rest[i+len(nul):]
	}
}

// Required is what a client must send: JSON's null and a missing member leave it empty.
func Required(name, value string) error {
	if value == "" {
		return authcore.Errorf(authcore.KindInvalidInput, "%s is missing", name)
	}
	return nil
}

// AllRequired is required for names and values in turn.
func AllRequired(namesAndValues ...string) error {
	for pair := range slices.Chunk(namesAndValues, 2) {
		if err := Required(pair[0], pair[1]); err != nil {
			return err
		}
	}
	return nil
}
