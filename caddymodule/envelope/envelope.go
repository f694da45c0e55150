package envelope

import (
	"net/http"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/answer"
)

// Envelope is the body of every answer. Both members are always present, and one is null.
type Envelope struct {
	Error *wireError `json:"error"`
	Data  any        `json:"data"`
}

// wireError has the type under both names that the contract uses.
type wireError struct {
	Type    string `json:"type"`
	AsShown string `json:"Type"`
	Message string `json:"message"`
}

// TooEarly is the code for a request that may be a replay.
const TooEarly = "TOO_EARLY"

// Failure returns the body of an error.
func Failure(code, text string) any {
	return Envelope{Error: &wireError{code, code, text}}
}

// Refuse answers with an error that is none of authcore's.
func Refuse(w http.ResponseWriter, status int, code, msg string) {
	answer.JSON(w, status, Failure(code, msg))
}

// Fail answers with an error of authcore's.
func Fail(w http.ResponseWriter, e *authcore.Error) { answer.Fail(w, Failure, e, Answers) }
