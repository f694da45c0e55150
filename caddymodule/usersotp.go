package caddymodule

import (
	"context"
	"net/http"

	"github.com/chatgate/chatgate/authcore"
)

type usersOTPRequest struct {
	Username string `json:"username"`
}

// usersPending is the answer to both halves of a change of password.
type usersPending struct {
	UserHash string             `json:"userhash"`
	Request  authcore.RequestID `json:"reqid"`
}

func usersRequestOTP(ctx context.Context, c *call) (reply, error) {
	var in usersOTPRequest
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	if err := required("username", in.Username); err != nil {
		return reply{}, err
	}
	p, err := c.service.RequestReset(ctx, authcore.ResetRequest{ClaimedName: in.Username, Client: c.client})
	return usersOK(usersPending{p.UserHash, p.Request}), err
}

// usersPassword has the code as a string alone: as a number it would lose its leading zeros.
type usersPassword struct {
	UserHash string `json:"userhash"`
	OTP      string `json:"OTP"`
	Request  string `json:"reqid"`
	Password string `json:"password"`
}

func usersModifyPassword(ctx context.Context, c *call) (reply, error) {
	var in usersPassword
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	if err := allRequired("userhash", in.UserHash, "OTP", in.OTP, "reqid", in.Request, "password", in.Password); err != nil {
		return reply{}, err
	}
	err := c.service.ResetPassword(ctx, authcore.PasswordReset{
		UserHash: in.UserHash, Request: authcore.RequestID(in.Request), Code: in.OTP, Password: authcore.NewPassword(in.Password), Client: c.client,
	})
	return usersOK(usersPending{in.UserHash, authcore.RequestID(in.Request)}), err
}

// usersAnswers has one for every kind of error. What users.txt does not name is in its manner.
var usersAnswers = answers{
	authcore.KindInternal:           {status: http.StatusInternalServerError, code: "INTERNAL"},
	authcore.KindUnavailable:        {status: http.StatusServiceUnavailable, code: "UNAVAILABLE"},
	authcore.KindInvalidInput:       {status: http.StatusUnprocessableEntity, code: "INVALID_INPUT"},
	authcore.KindInvalidUsername:    {status: http.StatusUnprocessableEntity, code: "INVALID_INPUT"},
	authcore.KindUsernameTaken:      {status: http.StatusOK, code: "ERROR_LOGIN_WITH_PASSWORD"},
	authcore.KindInvalidEmail:       {status: http.StatusUnprocessableEntity, code: "INVALID_INPUT"},
	authcore.KindEmailTaken:         {status: http.StatusConflict, code: "EMAIL_TAKEN"},
	authcore.KindWeakPassword:       {status: http.StatusUnprocessableEntity, code: "WEAK_PASSWORD"},
	authcore.KindUnknownAccount:     {status: http.StatusForbidden, code: "ERROR_INVALID_USERNAME"},
	authcore.KindWrongPassword:      {status: http.StatusUnauthorized, code: "INVALID_PASSWORD"},
	authcore.KindAccountDisabled:    {status: http.StatusForbidden, code: "ACCOUNT_DISABLED"},
	authcore.KindRegistrationClosed: {status: http.StatusUnauthorized, code: "CANT_CREATE_USER"},
	authcore.KindBadToken:           {status: http.StatusUnauthorized, code: "NOT_LOGGED_IN"},
	authcore.KindSessionOver:        {status: http.StatusUnauthorized, code: "NOT_LOGGED_IN"},
	authcore.KindRateLimited:        {status: http.StatusTooManyRequests, code: "RATE_LIMITED"},
	authcore.KindNotFound:           {status: http.StatusNotFound, code: "NOT_FOUND"},
	authcore.KindInviteRequired:     {status: http.StatusUnauthorized, code: "CANT_CREATE_USER"}, // there is no field for an invite
	authcore.KindBadInvite:          {status: http.StatusUnauthorized, code: "CANT_CREATE_USER"},
	authcore.KindBadCode:            {status: http.StatusUnauthorized, code: "ERROR_INVALID_OTP"},
	authcore.KindNoEmail:            {status: http.StatusOK, code: "ERROR_NO_EMAIL_SET"},
	authcore.KindMailFailed:         {status: http.StatusInternalServerError, code: "ERROR_EMAIL_SENDING_FAILED"},
	authcore.KindInvalidPhone:       {status: http.StatusUnprocessableEntity, code: "INVALID_INPUT"},
	authcore.KindPhoneTaken:         {status: http.StatusConflict, code: "NUMBER_TAKEN"},
	authcore.KindUnverifiedPhone:    {status: http.StatusForbidden, code: "UNVERIFIED_NUMBER"},
	authcore.KindUnverifiedEmail:    {status: http.StatusForbidden, code: "UNVERIFIED_EMAIL"},
}

// usersLoginAnswers are those for an unknown username when a login does not create the account: because no login does, or
// because settings do not allow it, or because the name looks like another's.
var usersLoginAnswers = usersAnswers.but(
	answer{status: http.StatusUnauthorized, code: "REGISTER_FOR_A_PASSWORD"},
	authcore.KindUnknownAccount, authcore.KindRegistrationClosed, authcore.KindInviteRequired, authcore.KindBadInvite, authcore.KindUsernameTaken,
)
