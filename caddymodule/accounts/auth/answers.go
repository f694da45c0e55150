package auth

import (
	"net/http"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/accounts/dialect"
)

// answers are spelt as in the other contracts, since auth.txt names no codes. It has one answer for an unknown address and
// a wrong password.
var answers = dialect.Answers{
	authcore.ClassInternal:     {Status: http.StatusInternalServerError, Code: "internal"},
	authcore.ClassUnavailable:  {Status: http.StatusServiceUnavailable, Code: "unavailable"},
	authcore.ClassInvalid:      {Status: http.StatusBadRequest, Code: "bad_request"},
	authcore.ClassCredentials:  {Status: http.StatusUnauthorized, Code: "invalid_credentials", Text: "the e-mail address or the password is wrong"},
	authcore.ClassToken:        {Status: http.StatusUnauthorized, Code: "bad_token"},
	authcore.ClassBarred:       {Status: http.StatusForbidden, Code: "forbidden"},
	authcore.ClassRegistration: {Status: http.StatusForbidden, Code: "registration_closed"},
	authcore.ClassNotFound:     {Status: http.StatusNotFound, Code: "not_found"},
	authcore.ClassConflict:     {Status: http.StatusConflict, Code: "conflict"},
	authcore.ClassTooMany:      {Status: http.StatusTooManyRequests, Code: "rate_limited"},

	authcore.KindInvalidUsername: {Status: http.StatusUnprocessableEntity, Code: "invalid_username"},
	authcore.KindInvalidEmail:    {Status: http.StatusUnprocessableEntity, Code: "invalid_email"},
	authcore.KindInvalidPhone:    {Status: http.StatusUnprocessableEntity, Code: "invalid_number"},
	authcore.KindWeakPassword:    {Status: http.StatusUnprocessableEntity, Code: "weak_password"},
	authcore.KindBadCode:         {Status: http.StatusUnauthorized, Code: "bad_code"},
	authcore.KindSessionOver:     {Status: http.StatusUnauthorized, Code: "session_over"},
	authcore.KindAccountDisabled: {Status: http.StatusForbidden, Code: "account_disabled"},
	authcore.KindUnverifiedPhone: {Status: http.StatusForbidden, Code: "unverified_number"},
	authcore.KindUnverifiedEmail: {Status: http.StatusForbidden, Code: "unverified_email"},
	authcore.KindInviteRequired:  {Status: http.StatusForbidden, Code: "invite_required"},
	authcore.KindBadInvite:       {Status: http.StatusForbidden, Code: "bad_invite"},
	authcore.KindUsernameTaken:   {Status: http.StatusConflict, Code: "username_taken"},
	authcore.KindEmailTaken:      {Status: http.StatusConflict, Code: "email_taken"},
	authcore.KindPhoneTaken:      {Status: http.StatusConflict, Code: "number_taken"},
	authcore.KindNoEmail:         {Status: http.StatusConflict, Code: "no_email"},
	authcore.KindMailFailed:      {Status: http.StatusServiceUnavailable, Code: "mail_failed"},
}
