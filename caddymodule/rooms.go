package caddymodule

import (
	"context"
	"net/http"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// rooms is the dialect of rooms.txt.
type rooms struct{}

func (rooms) name() string                 { return "rooms" }
func (rooms) defaultPrefix() string        { return "/api/v1" }
func (rooms) options() []string            { return nil }
func (rooms) tokenLifetime() time.Duration { return 0 }
func (rooms) bodies() bodies               { return jsonAsAnything }
func (rooms) answers() answers             { return roomsAnswers }
func (rooms) otherOrigin() answer          { return answer{} }
func (rooms) cookie() string               { return "" }

func (rooms) token(r *http.Request) (authcore.UnverifiedToken, error) { return bearerToken(r) }

func (rooms) routes() []route {
	return []route{
		{method: http.MethodPost, path: "/users", handle: roomsRegister},
		{method: http.MethodPost, path: "/login", handle: roomsLogin},
		{method: http.MethodPost, path: "/logout", proof: bySession, handle: roomsLogout},
		{method: http.MethodPost, path: "/logout_all", proof: bySession, handle: roomsLogoutAll},
	}
}

// roomsEnvelope is the shape of every answer: both members always there, one of them null.
type roomsEnvelope struct {
	Error *roomsError `json:"error"`
	Data  any         `json:"data"`
}

// roomsError has the type under both spellings that the contract uses.
type roomsError struct {
	Type    string `json:"type"`
	AsShown string `json:"Type"`
	Message string `json:"message"`
}

type roomsCredentials struct {
	Username string `json:"username"`
	Secret   string `json:"secret"`
}

type roomsUser struct {
	ID       int64             `json:"id"`
	Username authcore.Username `json:"username"`
}

type roomsGrant struct {
	Token authcore.SignedToken `json:"token"`
	User  roomsUser            `json:"user"`
}

func (c *roomsCredentials) decode(cl *call) error {
	if err := cl.decode(c); err != nil {
		return err
	}
	return allRequired("username", c.Username, "secret", c.Secret)
}

func roomsRegister(ctx context.Context, c *call) (reply, error) {
	var in roomsCredentials
	if err := in.decode(c); err != nil {
		return reply{}, err
	}
	a, err := c.service.Register(ctx, authcore.Registration{ClaimedName: in.Username, Password: authcore.NewPassword(in.Secret), Client: c.client})
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, body: roomsEnvelope{Data: roomsUser{a.Number, a.Username}}}, nil
}

func roomsLogin(ctx context.Context, c *call) (reply, error) {
	var in roomsCredentials
	if err := in.decode(c); err != nil {
		return reply{}, err
	}
	g, err := c.service.Login(ctx, authcore.Credentials{
		ClaimedName: in.Username, Password: authcore.NewPassword(in.Secret), TokenLifetime: c.set.tokenLifetime, Client: c.client,
	})
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: roomsEnvelope{Data: roomsGrant{g.Token, roomsUser{g.Account.Number, g.Account.Username}}}}, nil
}

func roomsLogout(ctx context.Context, c *call) (reply, error) {
	_, err := c.service.Logout(ctx, c.caller)
	return reply{status: http.StatusOK, body: roomsEnvelope{Data: struct{}{}}}, err
}

func roomsLogoutAll(ctx context.Context, c *call) (reply, error) {
	_, err := c.service.LogoutAll(ctx, c.caller.Account, "")
	return reply{status: http.StatusOK, body: roomsEnvelope{Data: struct{}{}}}, err
}

// roomsAnswers has an answer for every kind of error. Codes that rooms.txt does not name are in its manner.
var roomsAnswers = answers{
	authcore.KindInternal:           {status: http.StatusInternalServerError, code: "INTERNAL"},
	authcore.KindUnavailable:        {status: http.StatusServiceUnavailable, code: "UNAVAILABLE"},
	authcore.KindInvalidInput:       {status: http.StatusBadRequest, code: "BAD_BINDING"},
	authcore.KindInvalidUsername:    {status: http.StatusBadRequest, code: "BAD_BINDING"},
	authcore.KindUsernameTaken:      {status: http.StatusBadRequest, code: "USER_EXISTS"},
	authcore.KindInvalidEmail:       {status: http.StatusBadRequest, code: "BAD_BINDING"},
	authcore.KindEmailTaken:         {status: http.StatusBadRequest, code: "USER_EXISTS"},
	authcore.KindWeakPassword:       {status: http.StatusBadRequest, code: "BAD_PASSWORD"},
	authcore.KindUnknownAccount:     {status: http.StatusBadRequest, code: "USER_NOT_FOUND"},
	authcore.KindWrongPassword:      {status: http.StatusUnauthorized, code: "PASSWORD_MATCH_FAILED"},
	authcore.KindAccountDisabled:    {status: http.StatusForbidden, code: "ACCOUNT_DISABLED"},
	authcore.KindRegistrationClosed: {status: http.StatusForbidden, code: "REGISTRATION_CLOSED"},
	authcore.KindBadToken:           {status: http.StatusUnauthorized, code: "TOKEN_INVALID"},
	authcore.KindSessionOver:        {status: http.StatusUnauthorized, code: "TOKEN_INVALID"},
	authcore.KindRateLimited:        {status: http.StatusTooManyRequests, code: "RATE_LIMITED"},
	authcore.KindNotFound:           {status: http.StatusNotFound, code: "NOT_FOUND"},
	authcore.KindInviteRequired:     {status: http.StatusForbidden, code: "REGISTRATION_CLOSED"}, // there is no field for an invite
	authcore.KindBadInvite:          {status: http.StatusForbidden, code: "REGISTRATION_CLOSED"},
	authcore.KindBadCode:            {status: http.StatusUnauthorized, code: "CODE_INVALID"},
	authcore.KindNoEmail:            {status: http.StatusConflict, code: "NO_EMAIL"},
	authcore.KindMailFailed:         {status: http.StatusServiceUnavailable, code: "MAIL_FAILED"},
	authcore.KindInvalidPhone:       {status: http.StatusBadRequest, code: "BAD_BINDING"},
	authcore.KindPhoneTaken:         {status: http.StatusBadRequest, code: "USER_EXISTS"},
	authcore.KindUnverifiedPhone:    {status: http.StatusForbidden, code: "UNVERIFIED_NUMBER"},
	authcore.KindUnverifiedEmail:    {status: http.StatusForbidden, code: "UNVERIFIED_EMAIL"},
}

func (rooms) wrongMethod() answer {
	return answer{http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "this endpoint has another method"}
}

// roomsTooEarly is the code of what may be a replay.
const roomsTooEarly = "TOO_EARLY"

func (rooms) tooEarly() answer { return answer{status: http.StatusTooEarly, code: roomsTooEarly} }

func (rooms) failure(code, text string) any {
	return roomsEnvelope{Error: &roomsError{code, code, text}}
}

// fail answers where no account is called, but a token is judged.
func (d rooms) fail(w http.ResponseWriter, e *authcore.Error) { writeError(w, d, nil, e) }

func roomsFail(w http.ResponseWriter, status int, code, msg string) {
	writeJSON(w, status, rooms{}.failure(code, msg))
}
