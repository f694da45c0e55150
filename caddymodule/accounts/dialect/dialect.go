package dialect

import (
	"context"
	"net/http"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/answer"
)

// Dialect is a wire contract over HTTP: the endpoints that it has, and how it reports errors.
type Dialect struct {
	Name    string
	Prefix  string   // the default
	Options []string // options of chatgate_accounts that it takes besides prefix and token_lifetime

	TokenLifetime time.Duration // the default; 0: as long as the session
	Routes        []Route
	Bodies        Bodies

	Cookie string                                                // name of the cookie that may hold the token; empty: none
	Token  func(*http.Request) (authcore.UnverifiedToken, error) // returns the token of a request

	Answers     Answers // to errors
	WrongMethod Answer  // to a known path with another method
	TooEarly    Answer  // to a call that may be a replay; its text is the refusal's
	OtherOrigin Answer  // to a page of another origin; zero without a cookie, since a page can then do no more than any client

	Failure func(code, text string) any // returns the body of an error
}

// Route is an endpoint. Its handler decodes the body, makes one call on the service, and returns the reply.
type Route struct {
	Method  string
	Path    string // below the prefix; {id} as the last segment matches any segment
	Access  Access
	Answers Answers // where the contract has another answer here than elsewhere; nil: nowhere
	Handle  func(context.Context, *Call) (Reply, error)
}

// Access is what a caller needs to use an endpoint.
type Access uint8

// The levels of access.
const (
	Public       Access = iota
	NeedsSession        // a token of a live session, which the pipeline authenticates
	NeedsToken          // a token, which the handler checks
)

// Call is a request on its way through the pipeline.
type Call struct {
	Service  *authcore.Service
	Settings Settings
	Client   authcore.Client
	Token    authcore.UnverifiedToken // empty if the route is public
	Caller   authcore.Identity        // set if the route needs a session
	ID       string                   // the segment that matched {id}: letters, digits, - and _
	Writer   http.ResponseWriter
	Request  *http.Request
}

// NewCall returns the call of a request, with neither a service nor a caller yet.
func NewCall(w http.ResponseWriter, r *http.Request, s Settings) *Call {
	return &Call{Settings: s, Writer: w, Request: r}
}

// Actor returns who calls, and where from.
func (c *Call) Actor() authcore.Actor { return authcore.Actor{Identity: c.Caller, Client: c.Client} }

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
	Cookie *http.Cookie
}

// Answer is a dialect's answer to an error.
type Answer = answer.Failure

// Answers are a dialect's answers to errors.
type Answers = answer.Failures

// NoContent is the reply without a body.
var NoContent = Reply{Status: http.StatusNoContent}

// Fail writes the answer to a failed call: the endpoint's own, if own has one, and else the dialect's.
func (d *Dialect) Fail(w http.ResponseWriter, own Answers, e *authcore.Error) {
	answer.Fail(w, d.Failure, e, own, d.Answers)
}

// WireTime formats t as RFC 3339 in UTC, in whole seconds.
func WireTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
