package answer

import (
	"net/http"

	"github.com/chatgate/chatgate/authcore"
)

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
