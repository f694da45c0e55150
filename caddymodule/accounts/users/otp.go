package users

import (
	"context"
	"net/http"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/accounts/dialect"
)

type otpRequest struct {
	Username string `json:"username"`
}

// pending is the answer to both halves of a change of password.
type pending struct {
	UserHash string             `json:"userhash"`
	Request  authcore.RequestID `json:"reqid"`
}

func requestOTP(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	var in otpRequest
	if err := c.Decode(&in); err != nil {
		return dialect.Reply{}, err
	}
	if err := dialect.Required("username", in.Username); err != nil {
		return dialect.Reply{}, err
	}
	p, err := c.Service.RequestReset(ctx, authcore.ResetRequest{ClaimedName: in.Username, Client: c.Client})
	return ok(pending{p.UserHash, p.Request}), err
}

// passwordChange has the code as a string alone: as a number it would lose its leading zeros.
type passwordChange struct {
	UserHash string `json:"userhash"`
	OTP      string `json:"OTP"`
	Request  string `json:"reqid"`
	Password string `json:"password"`
}

func modifyPassword(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	var in passwordChange
	if err := c.Decode(&in); err != nil {
		return dialect.Reply{}, err
	}
	if err := dialect.AllRequired("userhash", in.UserHash, "OTP", in.OTP, "reqid", in.Request, "password", in.Password); err != nil {
		return dialect.Reply{}, err
	}
	err := c.Service.ResetPassword(ctx, authcore.PasswordReset{
		UserHash: in.UserHash, Request: authcore.RequestID(in.Request), Code: in.OTP, Password: authcore.NewPassword(in.Password), Client: c.Client,
	})
	return ok(pending{in.UserHash, authcore.RequestID(in.Request)}), err
}

// answers has one for every kind of error. What users.txt does not name is in its manner.
var answers = dialect.Answers{
	authcore.KindInternal:           {Status: http.StatusInternalServerError, Code: "INTERNAL"},
	authcore.KindUnavailable:        {Status: http.StatusServiceUnavailable, Code: "UNAVAILABLE"},
	authcore.KindInvalidInput:       {Status: http.StatusUnprocessableEntity, Code: "INVALID_INPUT"},
	authcore.KindInvalidUsername:    {Status: http.StatusUnprocessableEntity, Code: "INVALID_INPUT"},
	authcore.KindUsernameTaken:      {Status: http.StatusOK, Code: "ERROR_LOGIN_WITH_PASSWORD"},
	authcore.KindInvalidEmail:       {Status: http.StatusUnprocessableEntity, Code: "INVALID_INPUT"},
	authcore.KindEmailTaken:         {Status: http.StatusConflict, Code: "EMAIL_TAKEN"},
	authcore.KindWeakPassword:       {Status: http.StatusUnprocessableEntity, Code: "WEAK_PASSWORD"},
	authcore.KindUnknownAccount:     {Status: http.StatusForbidden, Code: "ERROR_INVALID_USERNAME"},
	authcore.KindWrongPassword:      {Status: http.StatusUnauthorized, Code: "INVALID_PASSWORD"},
	authcore.KindAccountDisabled:    {Status: http.StatusForbidden, Code: "ACCOUNT_DISABLED"},
	authcore.KindRegistrationClosed: {Status: http.StatusUnauthorized, Code: "CANT_CREATE_USER"},
	authcore.KindBadToken:           {Status: http.StatusUnauthorized, Code: "NOT_LOGGED_IN"},
	authcore.KindSessionOver:        {Status: http.StatusUnauthorized, Code: "NOT_LOGGED_IN"},
	authcore.KindRateLimited:        {Status: http.StatusTooManyRequests, Code: "RATE_LIMITED"},
	authcore.KindNotFound:           {Status: http.StatusNotFound, Code: "NOT_FOUND"},
	authcore.KindInviteRequired:     {Status: http.StatusUnauthorized, Code: "CANT_CREATE_USER"}, // there is no field for an invite
	authcore.KindBadInvite:          {Status: http.StatusUnauthorized, Code: "CANT_CREATE_USER"},
	authcore.KindBadCode:            {Status: http.StatusUnauthorized, Code: "ERROR_INVALID_OTP"},
	authcore.KindNoEmail:            {Status: http.StatusOK, Code: "ERROR_NO_EMAIL_SET"},
	authcore.KindMailFailed:         {Status: http.StatusInternalServerError, Code: "ERROR_EMAIL_SENDING_FAILED"},
	authcore.KindInvalidPhone:       {Status: http.StatusUnprocessableEntity, Code: "INVALID_INPUT"},
	authcore.KindPhoneTaken:         {Status: http.StatusConflict, Code: "NUMBER_TAKEN"},
	authcore.KindUnverifiedPhone:    {Status: http.StatusForbidden, Code: "UNVERIFIED_NUMBER"},
	authcore.KindUnverifiedEmail:    {Status: http.StatusForbidden, Code: "UNVERIFIED_EMAIL"},
}

// loginAnswers are those for an unknown username when a login does not create the account: because no login does, or
// because settings do not allow it, or because the name looks like another's.
var loginAnswers = answers.But(
	dialect.Answer{Status: http.StatusUnauthorized, Code: "REGISTER_FOR_A_PASSWORD"},
	authcore.KindUnknownAccount, authcore.KindRegistrationClosed, authcore.KindInviteRequired, authcore.KindBadInvite, authcore.KindUsernameTaken,
)
