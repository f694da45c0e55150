package auth

import (
	"context"
	"net/http"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/accounts/dialect"
)

// Dialect is the dialect auth. The contract says "No authentication required" only for register and login, so every other
// endpoint needs a token, even the public profiles.
var Dialect = dialect.Dialect{
	Name: "auth", Prefix: "/api/auth", Options: []string{"cookie", "require_invites"}, TokenLifetime: time.Hour, Bodies: dialect.JSONOnly,
	Answers: answers,
	Routes: []dialect.Route{
		{Method: http.MethodPost, Path: "/register", Handle: register},
		{Method: http.MethodPost, Path: "/login", Handle: login},
		{Method: http.MethodPost, Path: "/refresh", Access: dialect.NeedsToken, Handle: refresh},
		{Method: http.MethodPost, Path: "/logout", Access: dialect.NeedsSession, Handle: logout},
		{Method: http.MethodPost, Path: "/logout-all", Access: dialect.NeedsSession, Handle: logoutAll},
		{Method: http.MethodPost, Path: "/disconnect", Access: dialect.NeedsSession, Handle: disconnect},
		{Method: http.MethodPost, Path: "/email/request", Access: dialect.NeedsSession, Handle: requestEmailCode},
		{Method: http.MethodPost, Path: "/email/confirm", Access: dialect.NeedsSession, Handle: confirmEmail},
		{Method: http.MethodGet, Path: "/me", Access: dialect.NeedsSession, Handle: me},
		{Method: http.MethodPatch, Path: "/me", Access: dialect.NeedsSession, Handle: updateMe},
		{Method: http.MethodGet, Path: "/users/{id}", Access: dialect.NeedsSession, Handle: userByID},
		{Method: http.MethodGet, Path: "/sessions", Access: dialect.NeedsSession, Handle: listSessions},
		{Method: http.MethodDelete, Path: "/sessions/{id}", Access: dialect.NeedsSession, Handle: endSession},
	},
	WrongMethod: dialect.Answer{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Text: "this endpoint has another method"},
	TooEarly:    dialect.Answer{Status: http.StatusTooEarly, Code: "too_early"},
	OtherOrigin: dialect.Answer{Status: http.StatusForbidden, Code: "invalid_origin", Text: "pages of this origin may not call"},
	Failure:     func(code, text string) any { return wireError{code, text} },
}

// user is how every answer shows an account.
type user struct {
	ID          authcore.AccountID `json:"id"`
	Username    authcore.Username  `json:"username"`
	DisplayName string             `json:"displayName"`
	AvatarURL   *string            `json:"avatarUrl"`
	IsBot       bool               `json:"isBot"`
}

func userOf(a authcore.Account) user {
	u := user{ID: a.ID, Username: a.Username, DisplayName: a.DisplayName, IsBot: a.Bot}
	if u.DisplayName == "" {
		u.DisplayName = string(a.Username)
	}
	if a.AvatarURL != "" {
		u.AvatarURL = &a.AvatarURL
	}
	return u
}

// grant is the answer to register, login and refresh, the last without the user.
type grant struct {
	Token authcore.SignedToken `json:"token"`
	User  *user                `json:"user,omitempty"`
}

func grantOf(g authcore.Grant) grant {
	u := userOf(g.Account)
	return grant{g.Token, &u}
}

type registration struct {
	Email       string `json:"email"`
	Password    string `json:"password"`
	Username    string `json:"username"`
	DisplayName string `json:"displayName"`
	InviteCode  string `json:"inviteCode"`
}

func register(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	var in registration
	if err := c.Decode(&in); err != nil {
		return dialect.Reply{}, err
	}
	if err := dialect.AllRequired("email", in.Email, "password", in.Password, "username", in.Username); err != nil {
		return dialect.Reply{}, err
	}
	g, err := c.Service.Join(ctx, authcore.Registration{
		ClaimedName: in.Username, Password: authcore.NewPassword(in.Password), DisplayName: in.DisplayName, ClaimedEmail: in.Email,
		NeedInvite: c.Settings.NeedInvite, Invite: authcore.InviteCode(in.InviteCode), TokenLifetime: c.Settings.TokenLifetime, Client: c.Client,
	})
	if err != nil {
		return dialect.Reply{}, err
	}
	return dialect.Reply{Status: http.StatusCreated, Body: grantOf(g), Grant: &g}, nil
}

type credentials struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

func login(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	var in credentials
	if err := c.Decode(&in); err != nil {
		return dialect.Reply{}, err
	}
	if err := dialect.AllRequired("email", in.Email, "password", in.Password); err != nil {
		return dialect.Reply{}, err
	}
	g, err := c.Service.Login(ctx, authcore.Credentials{
		ClaimedEmail: in.Email, Password: authcore.NewPassword(in.Password), TokenLifetime: c.Settings.TokenLifetime, Client: c.Client,
	})
	if err != nil {
		return dialect.Reply{}, err
	}
	return dialect.Reply{Status: http.StatusOK, Body: grantOf(g), Grant: &g}, nil
}

func refresh(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	g, err := c.Service.Refresh(ctx, authcore.Refreshing{Token: c.Token, TokenLifetime: c.Settings.TokenLifetime, Client: c.Client})
	if err != nil {
		return dialect.Reply{}, err
	}
	return dialect.Reply{Status: http.StatusOK, Body: grant{Token: g.Token}, Grant: &g}, nil
}

var loggedOut = dialect.Reply{Status: http.StatusNoContent, LoggedOut: true}

func logout(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	_, err := c.Service.Logout(ctx, c.Actor)
	return loggedOut, err
}

func logoutAll(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	_, err := c.Service.LogoutAll(ctx, c.Actor, c.Identity.Account, "")
	return loggedOut, err
}

func disconnect(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	return dialect.NoContent, c.Service.Disconnect(ctx, c.Actor)
}

// wireError is the body of an error.
type wireError struct {
	Error   string `json:"error"`
	Message string `json:"message"`
}
