package users

import (
	"context"
	"net/http"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/accounts/dialect"
)

// Dialect is the dialect users.
var Dialect = dialect.Dialect{
	Name: "users", Prefix: "/users", Options: []string{"login_creates_users"}, Bodies: dialect.JSONOrForm,
	Cookie: "ssid", Answers: answers,
	Routes: []dialect.Route{
		{Method: http.MethodPost, Path: "/login", Handle: login, Answers: loginAnswers},
		{Method: http.MethodPost, Path: "/register", Handle: register},
		{Method: http.MethodPost, Path: "/requestotp", Handle: requestOTP},
		{Method: http.MethodPost, Path: "/modifypassword", Handle: modifyPassword},
		{Method: http.MethodPost, Path: "/logout", Access: dialect.NeedsSession, Handle: logout},
		{Method: http.MethodPost, Path: "/logout_all", Access: dialect.NeedsSession, Handle: logoutAll},
		{Method: http.MethodPost, Path: "/email/request", Access: dialect.NeedsSession, Handle: requestEmailCode},
		{Method: http.MethodPost, Path: "/email/confirm", Access: dialect.NeedsSession, Handle: confirmEmail},
		{Method: http.MethodGet, Path: "/info", Access: dialect.NeedsSession, Handle: info},
	},
	WrongMethod: dialect.Answer{Status: http.StatusMethodNotAllowed, Code: "INVALID_METHOD"},
	TooEarly:    dialect.Answer{Status: http.StatusTooEarly, Code: "TOO_EARLY"},
	OtherOrigin: dialect.Answer{Status: http.StatusForbidden, Code: "INVALID_ORIGIN"},
	Failure:     func(code, _ string) any { return envelope{false, data{code}} },
}

// envelope is the body of every answer. Its message is a code or an object.
type envelope struct {
	Success bool `json:"success"`
	Data    data `json:"data"`
}

type data struct {
	Message any `json:"message"`
}

func ok(message any) dialect.Reply {
	return dialect.Reply{Status: http.StatusOK, Body: envelope{true, data{message}}}
}

type credentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

type grant struct {
	UserHash string               `json:"userhash"`
	SSID     authcore.SignedToken `json:"ssid"`
}

func login(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	var in credentials
	if err := c.Decode(&in); err != nil {
		return dialect.Reply{}, err
	}
	if err := dialect.AllRequired("username", in.Username, "password", in.Password); err != nil {
		return dialect.Reply{}, err
	}
	login := c.Service.Login
	if c.Settings.LoginJoins {
		login = c.Service.LoginOrJoin
	}
	g, err := login(ctx, authcore.Credentials{
		ClaimedName: in.Username, Password: authcore.NewPassword(in.Password), TokenLifetime: c.Settings.TokenLifetime, Client: c.Client,
	})
	if err != nil {
		return dialect.Reply{}, err
	}
	rep := ok(grant{c.Service.UserHash(g.Account.Username), g.Token})
	rep.Grant = &g
	return rep, nil
}

type registration struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Email    string `json:"email"`
}

func register(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	var in registration
	if err := c.Decode(&in); err != nil {
		return dialect.Reply{}, err
	}
	if err := dialect.AllRequired("username", in.Username, "password", in.Password); err != nil {
		return dialect.Reply{}, err
	}
	_, err := c.Service.Register(ctx, authcore.Registration{
		ClaimedName: in.Username, Password: authcore.NewPassword(in.Password), ClaimedEmail: in.Email, Client: c.Client,
	})
	return ok("USER_INSERT_OK"), err
}

// user is the answer to info. It has the e-mail address, since callers get only their own.
type user struct {
	UserHash    string            `json:"userhash"`
	Username    authcore.Username `json:"username"`
	DisplayName string            `json:"displayname"`
	Email       *string           `json:"email"`
	Confirmed   bool              `json:"emailconfirmed"`
	Created     string            `json:"created"`
}

func info(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	a, err := c.Service.Profile(ctx, c.Identity)
	if err != nil {
		return dialect.Reply{}, err
	}
	u := user{c.Service.UserHash(a.Username), a.Username, a.DisplayName, nil, a.EmailConfirmed, dialect.WireTime(a.CreatedAt)}
	if u.DisplayName == "" {
		u.DisplayName = string(a.Username)
	}
	if a.Email != "" {
		u.Email = &a.Email
	}
	return ok(u), nil
}

// loggedOut is the reply to a logout, which the contract does not have.
func loggedOut() dialect.Reply {
	rep := ok("LOGGED_OUT")
	rep.LoggedOut = true
	return rep
}

func logout(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	_, err := c.Service.Logout(ctx, c.Actor)
	return loggedOut(), err
}

func logoutAll(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	_, err := c.Service.LogoutAll(ctx, c.Actor, c.Identity.Account, "")
	return loggedOut(), err
}
