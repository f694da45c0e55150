package users

import (
	"net/http"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/accounts/dialect"
)

// answers follow users.txt; the codes that it does not name are in its manner. Two of its errors have status 200. It has no
// field for an invite, so all that a client learns is that it cannot register.
var answers = dialect.Answers{
	authcore.ClassInternal:     {Status: http.StatusInternalServerError, Code: "INTERNAL"},
	authcore.ClassUnavailable:  {Status: http.StatusServiceUnavailable, Code: "UNAVAILABLE"},
	authcore.ClassInvalid:      {Status: http.StatusUnprocessableEntity, Code: "INVALID_INPUT"},
	authcore.ClassCredentials:  {Status: http.StatusUnauthorized, Code: "INVALID_PASSWORD"},
	authcore.ClassToken:        {Status: http.StatusUnauthorized, Code: "NOT_LOGGED_IN"},
	authcore.ClassBarred:       {Status: http.StatusForbidden, Code: "FORBIDDEN"},
	authcore.ClassRegistration: {Status: http.StatusUnauthorized, Code: "CANT_CREATE_USER"},
	authcore.ClassNotFound:     {Status: http.StatusNotFound, Code: "NOT_FOUND"},
	authcore.ClassConflict:     {Status: http.StatusConflict, Code: "CONFLICT"},
	authcore.ClassTooMany:      {Status: http.StatusTooManyRequests, Code: "RATE_LIMITED"},

	authcore.KindWeakPassword:    {Status: http.StatusUnprocessableEntity, Code: "WEAK_PASSWORD"},
	authcore.KindUnknownAccount:  {Status: http.StatusForbidden, Code: "ERROR_INVALID_USERNAME"},
	authcore.KindBadCode:         {Status: http.StatusUnauthorized, Code: "ERROR_INVALID_OTP"},
	authcore.KindAccountDisabled: {Status: http.StatusForbidden, Code: "ACCOUNT_DISABLED"},
	authcore.KindUnverifiedPhone: {Status: http.StatusForbidden, Code: "UNVERIFIED_NUMBER"},
	authcore.KindUnverifiedEmail: {Status: http.StatusForbidden, Code: "UNVERIFIED_EMAIL"},
	authcore.KindUsernameTaken:   {Status: http.StatusOK, Code: "ERROR_LOGIN_WITH_PASSWORD"},
	authcore.KindEmailTaken:      {Status: http.StatusConflict, Code: "EMAIL_TAKEN"},
	authcore.KindPhoneTaken:      {Status: http.StatusConflict, Code: "NUMBER_TAKEN"},
	authcore.KindNoEmail:         {Status: http.StatusOK, Code: "ERROR_NO_EMAIL_SET"},
	authcore.KindMailFailed:      {Status: http.StatusInternalServerError, Code: "ERROR_EMAIL_SENDING_FAILED"},
}

// loginAnswers are those for a login with an unknown username that does not create the account: because no login does,
// because the settings do not let this one, or because the name looks like another account's.
var loginAnswers = dialect.Answers{
	authcore.ClassRegistration:  registerFirst,
	authcore.KindUnknownAccount: registerFirst,
	authcore.KindUsernameTaken:  registerFirst,
}

var registerFirst = dialect.Answer{Status: http.StatusUnauthorized, Code: "REGISTER_FOR_A_PASSWORD"}
