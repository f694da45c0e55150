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
	"time"

	"github.com/go-json-experiment/json"

	"github.com/chatgate/chatgate/authcore"
)

// Call is a request on its way through the pipeline.
type Call struct {
	authcore.Actor // the client, and who it proved to be if the route needs a session

	Service  *authcore.Service
	Settings Settings
	Token    authcore.UnverifiedToken // empty if the route is public
	ID       string                   // the segment that matched {id}: letters, digits, - and _
	Writer   http.ResponseWriter
	Request  *http.Request
}

// Settings are the options of one chatgate_accounts.
type Settings struct {
	Bodies        Bodies
	TokenLifetime time.Duration
	NeedInvite    bool // registering takes an invite
	LoginJoins    bool // a login with an unknown username creates the account
}

// Reply is the answer to a call that succeeded. Without Body it has no body.
type Reply struct {
	Status int
	Body   any
	// Grant is the session that begins or goes on, whose token a browser keeps in the cookie, where there is one.
	Grant *authcore.Grant
	// LoggedOut says that the caller's session is over, so that a browser gives its cookie up.
	LoggedOut bool
}

// NoContent is the reply without a body.
var NoContent = Reply{Status: http.StatusNoContent}

// WireTime formats t for a reply, as RFC 3339 in UTC, in whole seconds.
func WireTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// maxBody is the size limit of a body, in bytes.
const maxBody = 64 << 10

// Bodies are the bodies that a dialect takes.
type Bodies uint8

// The kinds of bodies.
const (
	JSONAnyType Bodies = iota // JSON, whatever its Content-Type
	JSONOnly                  // JSON of type application/json, or without a type
	JSONOrForm                // the same, or a form of type application/x-www-form-urlencoded
)

// Decode reads the body, a JSON object or a form with the same fields, into dst. It refuses invalid UTF-8, members that are
// repeated, unknown or spelled in another case, anything after the object, and NUL characters, which most stores cannot hold.
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
	case authcore.SpellsNUL(body):
		return authcore.Errorf(authcore.KindInvalidInput, "the body has a NUL character")
	case !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")): // json would take null for an empty object
		err = errors.New("no object")
	default:
		err = json.Unmarshal(body, dst, json.RejectUnknownMembers(true))
	}
	if err != nil {
		return &authcore.Error{Kind: authcore.KindInvalidInput, Msg: "the body is not " + what + " that is expected here", Err: err}
	}
	return nil
}

// isForm reports whether a body is a form, by its Content-Type. A page of another site can send text/plain without a CORS
// preflight, so a body of another type is never taken for JSON.
func (b Bodies) isForm(h http.Header) (bool, error) {
	types := h["Content-Type"]
	if b == JSONAnyType || len(types) == 0 {
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

// isUTF8 reports whether charset is UTF-8, under its name or its most common alias
// (https://encoding.spec.whatwg.org/#names-and-labels).
func isUTF8(charset string) bool {
	return strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8")
}

// formAsJSON returns the fields of a form as a JSON object. It refuses a repeated field.
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

// Required returns an error if value is empty, as it is after null or without the member.
func Required(name, value string) error {
	if value == "" {
		return authcore.Errorf(authcore.KindInvalidInput, "%s is missing", name)
	}
	return nil
}

// AllRequired is [Required] for names and values in turn.
func AllRequired(namesAndValues ...string) error {
	for pair := range slices.Chunk(namesAndValues, 2) {
		if err := Required(pair[0], pair[1]); err != nil {
			return err
		}
	}
	return nil
}
