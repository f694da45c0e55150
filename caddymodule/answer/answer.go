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

// SetRetryAfter sets Retry-After in whole seconds, rounded up (RFC 9110, section 10.2.3).
func SetRetryAfter(w http.ResponseWriter, e *authcore.Error) {
	if e.Kind == authcore.KindRateLimited || e.Kind == authcore.KindUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(e.RetryAfter.Seconds())))))
	}
}

// JSON writes a response. A client that is gone is no error of ours.
func JSON(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("answer: a reply does not encode: %v", err)) // a fault in this package
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) //nolint:gosec // what a client sent can be in it, as JSON that is said to be JSON
}

// LogFailure writes what an operator has to know. A client's mistakes are not among it.
func LogFailure(logger *zap.Logger, r *http.Request, e *authcore.Error) {
	if e.Kind == authcore.KindInternal || e.Kind == authcore.KindUnavailable && e.Err != nil {
		level := zap.ErrorLevel
		if r.Context().Err() != nil { // the client went away, and with it whatever it waited for
			level = zap.DebugLevel
		}
		logger.Log(level, "request failed", zap.String("kind", e.Kind.String()), zap.String("path", r.URL.Path), zap.Error(e.Err))
	}
}
