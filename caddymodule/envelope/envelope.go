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

// Answers follow rooms.txt; the codes that it does not name are in its manner. It answers 400 to a taken name and to an
// unknown one. It has no field for an invite, so all that a client learns is that it cannot register.
var Answers = answer.Failures{
	authcore.ClassInternal:     {Status: http.StatusInternalServerError, Code: "INTERNAL"},
	authcore.ClassUnavailable:  {Status: http.StatusServiceUnavailable, Code: "UNAVAILABLE"},
	authcore.ClassInvalid:      {Status: http.StatusBadRequest, Code: "BAD_BINDING"},
	authcore.ClassCredentials:  {Status: http.StatusUnauthorized, Code: "PASSWORD_MATCH_FAILED"},
	authcore.ClassToken:        {Status: http.StatusUnauthorized, Code: "TOKEN_INVALID"},
	authcore.ClassBarred:       {Status: http.StatusForbidden, Code: "FORBIDDEN"},
	authcore.ClassRegistration: {Status: http.StatusForbidden, Code: "REGISTRATION_CLOSED"},
	authcore.ClassNotFound:     {Status: http.StatusNotFound, Code: "NOT_FOUND"},
	authcore.ClassConflict:     {Status: http.StatusBadRequest, Code: "USER_EXISTS"},
	authcore.ClassTooMany:      {Status: http.StatusTooManyRequests, Code: "RATE_LIMITED"},

	authcore.KindWeakPassword:    {Status: http.StatusBadRequest, Code: "BAD_PASSWORD"},
	authcore.KindUnknownAccount:  {Status: http.StatusBadRequest, Code: "USER_NOT_FOUND"},
	authcore.KindBadCode:         {Status: http.StatusUnauthorized, Code: "CODE_INVALID"},
	authcore.KindAccountDisabled: {Status: http.StatusForbidden, Code: "ACCOUNT_DISABLED"},
	authcore.KindUnverifiedPhone: {Status: http.StatusForbidden, Code: "UNVERIFIED_NUMBER"},
	authcore.KindUnverifiedEmail: {Status: http.StatusForbidden, Code: "UNVERIFIED_EMAIL"},
	authcore.KindNoEmail:         {Status: http.StatusConflict, Code: "NO_EMAIL"},
	authcore.KindMailFailed:      {Status: http.StatusServiceUnavailable, Code: "MAIL_FAILED"},
}
