package caddymodule

import (
	"context"
	"net/http"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// auth is the dialect of auth.txt.
type auth struct{}

func (auth) name() string                 { return "auth" }
func (auth) defaultPrefix() string        { return "/api/auth" }
func (auth) options() []string            { return []string{"require_invites"} }
func (auth) tokenLifetime() time.Duration { return time.Hour }
func (auth) bodies() bodies               { return jsonOnly }
func (auth) answers() answers             { return authAnswers }
func (auth) otherOrigin() answer          { return answer{} }
func (auth) cookie() string               { return "" }

func (auth) token(r *http.Request) (authcore.UnverifiedToken, error) { return bearerToken(r) }

// The contract says "No authentication required" of register and login alone, so everything else wants a token, the
// public profiles included.
func (auth) routes() []route {
	return []route{
		{method: http.MethodPost, path: "/register", handle: authRegister},
		{method: http.MethodPost, path: "/login", handle: authLogin},
		{method: http.MethodPost, path: "/refresh", proof: byToken, handle: authRefresh},
		{method: http.MethodPost, path: "/logout", proof: bySession, handle: authLogout},
		{method: http.MethodPost, path: "/logout-all", proof: bySession, handle: authLogoutAll},
		{method: http.MethodPost, path: "/disconnect", proof: bySession, handle: authDisconnect},
		{method: http.MethodGet, path: "/me", proof: bySession, handle: authMe},
		{method: http.MethodPatch, path: "/me", proof: bySession, handle: authUpdateMe},
		{method: http.MethodGet, path: "/users/{id}", proof: bySession, handle: authUserByID},
		{method: http.MethodGet, path: "/sessions", proof: bySession, handle: authListSessions},
		{method: http.MethodDelete, path: "/sessions/{id}", proof: bySession, handle: authEndSession},
	}
}

// authUser is the object that every answer shows a user as.
type authUser struct {
	ID          authcore.AccountID `json:"id"`
	Username    authcore.Username  `json:"username"`
	DisplayName string             `json:"displayName"`
	AvatarURL   *string            `json:"avatarUrl"`
	IsBot       bool               `json:"isBot"`
}

func authUserOf(a authcore.Account) authUser {
	u := authUser{ID: a.ID, Username: a.Username, DisplayName: a.DisplayName, IsBot: a.Bot}
	if u.DisplayName == "" {
		u.DisplayName = string(a.Username)
	}
	if a.AvatarURL != "" {
		u.AvatarURL = &a.AvatarURL
	}
	return u
}

// authGrant is the answer to register and login; a refresh answers without the user.
type authGrant struct {
	Token authcore.SignedToken `json:"token"`
	User  *authUser            `json:"user,omitempty"`
}

func authGrantOf(g authcore.Grant) authGrant {
	u := authUserOf(g.Account)
	return authGrant{g.Token, &u}
}

type authRegistration struct {
	Email       string `json:"email"`
	Password    string `json:"password"`
	Username    string `json:"username"`
	DisplayName string `json:"displayName"`
	InviteCode  string `json:"inviteCode"`
}

func authRegister(ctx context.Context, c *call) (reply, error) {
	var in authRegistration
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	if err := allRequired("email", in.Email, "password", in.Password, "username", in.Username); err != nil {
		return reply{}, err
	}
	g, err := c.service.Join(ctx, authcore.Registration{
		ClaimedName: in.Username, Password: authcore.NewPassword(in.Password), DisplayName: in.DisplayName, ClaimedEmail: in.Email,
		NeedInvite: c.set.needInvite, Invite: authcore.InviteCode(in.InviteCode), TokenLifetime: c.set.tokenLifetime, Client: c.client,
	})
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, body: authGrantOf(g)}, nil
}

type authCredentials struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

func authLogin(ctx context.Context, c *call) (reply, error) {
	var in authCredentials
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	if err := allRequired("email", in.Email, "password", in.Password); err != nil {
		return reply{}, err
	}
	g, err := c.service.Login(ctx, authcore.Credentials{
		ClaimedEmail: in.Email, Password: authcore.NewPassword(in.Password), TokenLifetime: c.set.tokenLifetime, Client: c.client,
	})
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: authGrantOf(g)}, nil
}

func authRefresh(ctx context.Context, c *call) (reply, error) {
	g, err := c.service.Refresh(ctx, authcore.Refreshing{Token: c.token, TokenLifetime: c.set.tokenLifetime, Client: c.client})
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: authGrant{Token: g.Token}}, nil
}

func authLogout(ctx context.Context, c *call) (reply, error) {
	_, err := c.service.Logout(ctx, c.caller)
	return noContent, err
}

func authLogoutAll(ctx context.Context, c *call) (reply, error) {
	_, err := c.service.LogoutAll(ctx, c.caller.Account, "")
	return noContent, err
}

func authDisconnect(ctx context.Context, c *call) (reply, error) {
	return noContent, c.service.Disconnect(ctx, c.caller)
}

// badCredentials is the same for an address of nobody and for a wrong password, since the contract has one answer.
var badCredentials = answer{http.StatusUnauthorized, "invalid_credentials", "the e-mail address or the password is wrong"}

// authAnswers has one for every kind of error. auth.txt names no codes; those that others of the contracts name in the
// same manner are spelt as there.
var authAnswers = answers{
	authcore.KindInternal:           {status: http.StatusInternalServerError, code: "internal"},
	authcore.KindUnavailable:        {status: http.StatusServiceUnavailable, code: "unavailable"},
	authcore.KindInvalidInput:       {status: http.StatusBadRequest, code: "bad_request"},
	authcore.KindInvalidUsername:    {status: http.StatusUnprocessableEntity, code: "invalid_username"},
	authcore.KindUsernameTaken:      {status: http.StatusConflict, code: "username_taken"},
	authcore.KindInvalidEmail:       {status: http.StatusUnprocessableEntity, code: "invalid_email"},
	authcore.KindEmailTaken:         {status: http.StatusConflict, code: "email_taken"},
	authcore.KindWeakPassword:       {status: http.StatusUnprocessableEntity, code: "weak_password"},
	authcore.KindUnknownAccount:     badCredentials,
	authcore.KindWrongPassword:      badCredentials,
	authcore.KindAccountDisabled:    {status: http.StatusForbidden, code: "account_disabled"},
	authcore.KindRegistrationClosed: {status: http.StatusForbidden, code: "registration_closed"},
	authcore.KindBadToken:           {status: http.StatusUnauthorized, code: "bad_token"},
	authcore.KindSessionOver:        {status: http.StatusUnauthorized, code: "session_over"},
	authcore.KindRateLimited:        {status: http.StatusTooManyRequests, code: "rate_limited"},
	authcore.KindNotFound:           {status: http.StatusNotFound, code: "not_found"},
	authcore.KindInviteRequired:     {status: http.StatusForbidden, code: "invite_required"},
	authcore.KindBadInvite:          {status: http.StatusForbidden, code: "bad_invite"},
	authcore.KindBadCode:            {status: http.StatusUnauthorized, code: "bad_code"},
	authcore.KindNoEmail:            {status: http.StatusConflict, code: "no_email"},
	authcore.KindMailFailed:         {status: http.StatusServiceUnavailable, code: "mail_failed"},
	authcore.KindInvalidPhone:       {status: http.StatusUnprocessableEntity, code: "invalid_number"},
	authcore.KindPhoneTaken:         {status: http.StatusConflict, code: "number_taken"},
	authcore.KindUnverifiedPhone:    {status: http.StatusForbidden, code: "unverified_number"},
	authcore.KindUnverifiedEmail:    {status: http.StatusForbidden, code: "unverified_email"},
}

// authError is the body of an error.
type authError struct {
	Error   string `json:"error"`
	Message string `json:"message"`
}

func (auth) failure(code, text string) any { return authError{code, text} }

func (auth) wrongMethod() answer {
	return answer{http.StatusMethodNotAllowed, "method_not_allowed", "this endpoint has another method"}
}

func (auth) tooEarly() answer { return answer{status: http.StatusTooEarly, code: "too_early"} }
