package envelope

import (
	"net/http"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/answer"
)

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
