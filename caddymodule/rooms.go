package caddymodule

import (
	"context"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/chatgate/chatgate/authcore"
)

// rooms is the dialect of rooms.txt.
type rooms struct{}

func (rooms) name() string          { return "rooms" }
func (rooms) defaultPrefix() string { return "/api/v1" }

func (rooms) routes() []route {
	return []route{
		{method: http.MethodPost, path: "/users", handle: roomsRegister},
		{method: http.MethodPost, path: "/login", handle: roomsLogin},
		{method: http.MethodPost, path: "/logout", bearer: true, handle: roomsLogout},
		{method: http.MethodPost, path: "/logout_all", bearer: true, handle: roomsLogoutAll},
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
	if err := decodeJSON(cl.w, cl.r, c); err != nil {
		return err
	}
	if err := required("username", c.Username); err != nil {
		return err
	}
	return required("secret", c.Secret)
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
	return reply{http.StatusCreated, roomsEnvelope{Data: roomsUser{a.Number, a.Username}}}, nil
}

func roomsLogin(ctx context.Context, c *call) (reply, error) {
	var in roomsCredentials
	if err := in.decode(c); err != nil {
		return reply{}, err
	}
	g, err := c.service.Login(ctx, authcore.Credentials{ClaimedName: in.Username, Password: authcore.NewPassword(in.Secret), Client: c.client})
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, roomsEnvelope{Data: roomsGrant{g.Token, roomsUser{g.Account.Number, g.Account.Username}}}}, nil
}

func roomsLogout(ctx context.Context, c *call) (reply, error) {
	_, err := c.service.Logout(ctx, c.caller)
	return reply{http.StatusOK, roomsEnvelope{Data: struct{}{}}}, err
}

func roomsLogoutAll(ctx context.Context, c *call) (reply, error) {
	_, err := c.service.LogoutAll(ctx, c.caller.Account, "")
	return reply{http.StatusOK, roomsEnvelope{Data: struct{}{}}}, err
}

// roomsKinds has an answer for every kind of error. Codes that rooms.txt does not name are in its manner.
var roomsKinds = map[authcore.Kind]struct {
	status int
	code   string
}{
	authcore.KindInternal:           {http.StatusInternalServerError, "INTERNAL"},
	authcore.KindUnavailable:        {http.StatusServiceUnavailable, "UNAVAILABLE"},
	authcore.KindInvalidInput:       {http.StatusBadRequest, "BAD_BINDING"},
	authcore.KindInvalidUsername:    {http.StatusBadRequest, "BAD_BINDING"},
	authcore.KindUsernameTaken:      {http.StatusBadRequest, "USER_EXISTS"},
	authcore.KindInvalidEmail:       {http.StatusBadRequest, "BAD_BINDING"},
	authcore.KindEmailTaken:         {http.StatusBadRequest, "USER_EXISTS"},
	authcore.KindWeakPassword:       {http.StatusBadRequest, "BAD_PASSWORD"},
	authcore.KindUnknownAccount:     {http.StatusBadRequest, "USER_NOT_FOUND"},
	authcore.KindWrongPassword:      {http.StatusUnauthorized, "PASSWORD_MATCH_FAILED"},
	authcore.KindAccountDisabled:    {http.StatusForbidden, "ACCOUNT_DISABLED"},
	authcore.KindRegistrationClosed: {http.StatusForbidden, "REGISTRATION_CLOSED"},
	authcore.KindBadToken:           {http.StatusUnauthorized, "TOKEN_INVALID"},
	authcore.KindSessionOver:        {http.StatusUnauthorized, "TOKEN_INVALID"},
	authcore.KindRateLimited:        {http.StatusTooManyRequests, "RATE_LIMITED"},
	authcore.KindNotFound:           {http.StatusNotFound, "NOT_FOUND"},
}

func (rooms) fail(w http.ResponseWriter, e *authcore.Error) {
	k, ok := roomsKinds[e.Kind]
	msg := e.Msg
	if !ok || e.Kind == authcore.KindInternal {
		k, msg = roomsKinds[authcore.KindInternal], "internal error"
	}
	if e.Kind == authcore.KindBadToken || e.Kind == authcore.KindSessionOver {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	}
	roomsFail(w, k.status, k.code, msg)
}

func (rooms) wrongMethod(w http.ResponseWriter) {
	roomsFail(w, http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "this endpoint has another method")
}

func roomsFail(w http.ResponseWriter, status int, code, msg string) {
	writeJSON(w, status, roomsEnvelope{Error: &roomsError{code, code, msg}})
}

// writeJSON writes a response. A client that is gone is no error of ours.
func writeJSON(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("caddymodule: a reply does not encode: %v", err)) // a fault in this package
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}
