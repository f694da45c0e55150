package dialect

import (
	"context"
	"net/http"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/answer"
)

// Dialect is one wire contract over HTTP: what it serves, and how it reports errors.
type Dialect struct {
	Name    string
	Prefix  string   // default path that its endpoints are below
	Options []string // of chatgate_accounts that it takes, beside prefix and token_lifetime

	TokenLifetime time.Duration // default; 0: as long as the session
	Routes        []Route
	Bodies        Bodies

	Cookie string                                                // name of the cookie that may hold a token; empty: none
	Token  func(*http.Request) (authcore.UnverifiedToken, error) // finds the token of a request

	Answers     Answers // to errors
	WrongMethod Answer  // to a known path with another method
	TooEarly    Answer  // to a call that may be a replay; the text is the refusal's
	OtherOrigin Answer  // to a page of another origin; zero where no cookie is set or read, so that pages can do no more than anybody

	Failure func(code, text string) any // the body that reports an error
}

// Route is one endpoint. Its handler decodes, makes one call on the service, and returns what is to be encoded.
type Route struct {
	Method  string
	Path    string // below the prefix; a last segment {id} stands for any
	Proof   proof
	Answers *Answers // where the contract has another answer here than elsewhere; nil: nowhere
	Handle  func(context.Context, *Call) (Reply, error)
}

// proof is what a caller needs to show.
type proof uint8

const (
	ByAnybody proof = iota
	BySession       // a token of a session that lives
	ByToken         // a token, which the operation itself judges
)

// Call is a request on its way through the pipeline.
type Call struct {
	Service  *authcore.Service
	Settings Settings
	Client   authcore.Client
	Token    authcore.UnverifiedToken // unless the route is for anybody
	Caller   authcore.Identity        // of a route that needs a session
	ID       string                   // the last segment of the path, where it stands for any: letters, digits, - and _
	Writer   http.ResponseWriter
	Request  *http.Request
}

// NewCall returns a call that is yet to be judged.
func NewCall(w http.ResponseWriter, r *http.Request, s Settings) *Call {
	return &Call{Settings: s, Writer: w, Request: r}
}

// Settings are the options of one chatgate_accounts.
type Settings struct {
	Bodies        Bodies
	TokenLifetime time.Duration
	NeedInvite    bool // to make an account
	LoginJoins    bool // a login with an unknown username creates the account
}

// Reply is a success in the dialect's own shape. Without a body there is none on the wire either.
type Reply struct {
	Status int
	Body   any
	Cookie *http.Cookie
}

// Answer is what a dialect says for a kind of error.
type Answer struct {
	Status int
	Code   string
	Text   string // in the place of the error's own, if not empty
}

// Answers are a dialect's answers to errors: one for every class, and one for each kind that its contract names.
type Answers = authcore.Answers[Answer]

var NoContent = Reply{Status: http.StatusNoContent}

// Fail writes the answer to a failed call: the endpoint's own, if own has one, and else the dialect's.
func (d *Dialect) Fail(w http.ResponseWriter, own *Answers, e *authcore.Error) {
	a, ok := own.Find(e.Kind)
	if !ok {
		a, _ = d.Answers.Find(e.Kind)
	}
	text := e.Msg
	switch {
	case e.Kind.Class() == authcore.ClassInternal:
		text = "internal error"
	case a.Text != "":
		text = a.Text
	}
	if e.Kind.Class() == authcore.ClassToken {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	}
	answer.JSON(w, a.Status, d.Failure(a.Code, text))
}

// WireTime is RFC 3339 in UTC, in whole seconds.
func WireTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
