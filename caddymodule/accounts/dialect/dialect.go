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
	Options []string // options of chatgate_accounts that it takes besides prefix, token_lifetime and origins

	TokenLifetime time.Duration // the default; 0: as long as the session
	Routes        []Route
	Bodies        Bodies

	Cookie string // name of the cookie that may hold the token; empty: what the option cookie names, if anything

	Answers     Answers // to errors
	WrongMethod Answer  // to a known path with another method
	TooEarly    Answer  // to a call that may be a replay; its text is the refusal's
	OtherOrigin Answer  // to a page of another origin that may not call

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

// Answer is a dialect's answer to an error.
type Answer = answer.Failure

// Answers are a dialect's answers to errors.
type Answers = answer.Failures

// Fail writes the answer to a failed call: the endpoint's own, if own has one, and else the dialect's.
func (d *Dialect) Fail(w http.ResponseWriter, own Answers, e *authcore.Error) {
	answer.Fail(w, d.Failure, e, own, d.Answers)
}
