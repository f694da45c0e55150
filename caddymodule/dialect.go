package caddymodule

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/chatgate/chatgate/authcore"
)

// dialect is one wire contract over HTTP: what it serves, and how it says that something went wrong.
type dialect interface {
	name() string
	defaultPrefix() string
	// options are those of chatgate_accounts that mean something here, beside prefix and token_lifetime.
	options() []string
	// tokenLifetime is that of tokens unless configured otherwise; 0: the session's.
	tokenLifetime() time.Duration
	routes() []route
	bodies() bodies
	// cookie is the name of the one that a session may be in; empty: none.
	cookie() string
	// token returns what a request bears that may be a token.
	token(*http.Request) (authcore.UnverifiedToken, error)
	// answers has one for every kind of error.
	answers() answers
	// wrongMethod is the answer to a call of a known path with another method.
	wrongMethod() answer
	// tooEarly is the answer to a call that may be a replay; it has a text already.
	tooEarly() answer
	// otherOrigin is the answer to a page of another origin. It is zero where no cookie is set or read, so that pages
	// can do no more than anybody.
	otherOrigin() answer
	// failure is the body that tells of an error.
	failure(code, text string) any
}

var dialects = []dialect{rooms{}, auth{}, users{}}

// dialectNames are those that there are, for people.
func dialectNames() string {
	var names []string
	for _, d := range dialects {
		names = append(names, d.name())
	}
	return strings.Join(names, ", ")
}

// route is one endpoint. Its handler decodes, makes one call on the service, and returns what is to be encoded.
type route struct {
	method  string
	path    string // below the prefix; a last segment {id} stands for any
	proof   proof
	answers answers // for every kind, where the contract says something else here than elsewhere; nil: the dialect's
	handle  func(context.Context, *call) (reply, error)
}

// proof is what a caller needs to show.
type proof uint8

const (
	byAnybody proof = iota
	bySession       // a token of a session that lives
	byToken         // a token, which the operation itself judges
)

// call is a request on its way through the pipeline.
type call struct {
	service *authcore.Service
	set     settings
	client  authcore.Client
	token   authcore.UnverifiedToken // unless the route is for anybody
	caller  authcore.Identity        // of a route that needs a session
	id      string                   // the last segment of the path, where it stands for any: letters, digits, - and _
	w       http.ResponseWriter
	r       *http.Request
}

// settings are the options of one chatgate_accounts.
type settings struct {
	bodies        bodies
	tokenLifetime time.Duration
	needInvite    bool // to make an account
	loginJoins    bool // a login with an unknown username creates the account
}

// reply is a success in the dialect's own shape. Without a body there is none on the wire either.
type reply struct {
	status int
	body   any
	cookie *http.Cookie
}

// answer is what a dialect says for a kind of error.
type answer struct {
	status int
	code   string
	text   string // in the place of the error's own, if not empty
}

type answers map[authcore.Kind]answer

var noContent = reply{status: http.StatusNoContent}

// but returns as with another answer for some kinds.
func (as answers) but(a answer, kinds ...authcore.Kind) answers {
	as = maps.Clone(as)
	for _, k := range kinds {
		as[k] = a
	}
	return as
}

// writeError answers a call that did not succeed, out of a table of its endpoint's own or of the dialect's.
func writeError(w http.ResponseWriter, d dialect, own answers, e *authcore.Error) {
	table := own
	if table == nil {
		table = d.answers()
	}
	a, ok := table[e.Kind]
	if !ok {
		a = table[authcore.KindInternal]
	}
	text := e.Msg
	switch {
	case !ok || e.Kind == authcore.KindInternal:
		text = "internal error"
	case a.text != "":
		text = a.text
	}
	if e.Kind == authcore.KindBadToken || e.Kind == authcore.KindSessionOver {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	}
	writeJSON(w, a.status, d.failure(a.code, text))
}

// setRetryAfter sets Retry-After in whole seconds, rounded up (RFC 9110, section 10.2.3).
func setRetryAfter(w http.ResponseWriter, e *authcore.Error) {
	if e.Kind == authcore.KindRateLimited || e.Kind == authcore.KindUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(e.RetryAfter.Seconds())))))
	}
}

// writeJSON writes a response. A client that is gone is no error of ours.
func writeJSON(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("caddymodule: a reply does not encode: %v", err)) // a fault in this package
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) //nolint:gosec // what a client sent can be in it, as JSON that is said to be JSON
}
