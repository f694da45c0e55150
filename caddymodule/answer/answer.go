package answer

import (
	"fmt"
	"math"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"
	"go.uber.org/zap"

	"github.com/chatgate/chatgate/authcore"
)

// SetRetryAfter sets Retry-After for an error that passes with time, in whole seconds, rounded up (RFC 9110, section 10.2.3).
func SetRetryAfter(w http.ResponseWriter, e *authcore.Error) {
	if e.Kind == authcore.KindRateLimited || e.Kind == authcore.KindUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(e.RetryAfter.Seconds())))))
	}
}

// JSON writes body as JSON. It ignores a failed write, since then the client is gone.
func JSON(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("answer: a reply does not encode: %v", err)) // a fault of ours
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

// LogFailure logs a failure of ours. It does not log mistakes of a client.
func LogFailure(logger *zap.Logger, r *http.Request, e *authcore.Error) {
	if e.Kind == authcore.KindInternal || e.Kind == authcore.KindUnavailable && e.Err != nil {
		level := zap.ErrorLevel
		if r.Context().Err() != nil { // the client went away, which canceled the call
			level = zap.DebugLevel
		}
		logger.Log(level, "request failed", zap.String("kind", e.Kind.String()), zap.String("path", r.URL.Path), zap.Error(e.Err))
	}
}

// Failure is the answer of a contract to an error.
type Failure struct {
	Status int
	Code   string
	Text   string // replaces the error's own text if not empty
}

// Failures are the answers of a contract to errors: one for every class, and one for each kind that it names.
type Failures = authcore.Answers[Failure]

// Fail writes the answer to a failed call, from the first of the tables that has one. The function makes its body.
func Fail(w http.ResponseWriter, body func(code, text string) any, e *authcore.Error, tables ...Failures) {
	var a Failure
	for _, table := range tables {
		found, ok := table.Find(e.Kind)
		if a = found; ok {
			break
		}
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
	JSON(w, a.Status, body(a.Code, text))
}
