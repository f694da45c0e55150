package rooms

import (
	"context"
	"net/http"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/accounts/dialect"
	"github.com/chatgate/chatgate/caddymodule/envelope"
)

// Dialect is the dialect rooms.
var Dialect = dialect.Dialect{
	Name: "rooms", Prefix: "/api/v1", Options: []string{"cookie"}, Bodies: dialect.JSONAnyType, Answers: envelope.Answers,
	Routes: []dialect.Route{
		{Method: http.MethodPost, Path: "/users", Handle: register},
		{Method: http.MethodPost, Path: "/login", Handle: login},
		{Method: http.MethodPost, Path: "/logout", Access: dialect.NeedsSession, Handle: logout},
		{Method: http.MethodPost, Path: "/logout_all", Access: dialect.NeedsSession, Handle: logoutAll},
	},
	WrongMethod: dialect.Answer{Status: http.StatusMethodNotAllowed, Code: "METHOD_NOT_ALLOWED", Text: "this endpoint has another method"},
	TooEarly:    dialect.Answer{Status: http.StatusTooEarly, Code: envelope.TooEarly},
	OtherOrigin: dialect.Answer{Status: http.StatusForbidden, Code: "INVALID_ORIGIN", Text: "pages of this origin may not call"},
	Failure:     envelope.Failure,
}

type credentials struct {
	Username string `json:"username"`
	Secret   string `json:"secret"`
}

type user struct {
	ID       int64             `json:"id"`
	Username authcore.Username `json:"username"`
}

type grant struct {
	Token authcore.SignedToken `json:"token"`
	User  user                 `json:"user"`
}

func (c *credentials) decode(cl *dialect.Call) error {
	if err := cl.Decode(c); err != nil {
		return err
	}
	return dialect.AllRequired("username", c.Username, "secret", c.Secret)
}

func register(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	var in credentials
	if err := in.decode(c); err != nil {
		return dialect.Reply{}, err
	}
	a, err := c.Service.Register(ctx, authcore.Registration{ClaimedName: in.Username, Password: authcore.NewPassword(in.Secret), Client: c.Client})
	if err != nil {
		return dialect.Reply{}, err
	}
	return dialect.Reply{Status: http.StatusCreated, Body: envelope.Envelope{Data: user{a.Number, a.Username}}}, nil
}

func login(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	var in credentials
	if err := in.decode(c); err != nil {
		return dialect.Reply{}, err
	}
	g, err := c.Service.Login(ctx, authcore.Credentials{
		ClaimedName: in.Username, Password: authcore.NewPassword(in.Secret), TokenLifetime: c.Settings.TokenLifetime, Client: c.Client,
	})
	if err != nil {
		return dialect.Reply{}, err
	}
	return dialect.Reply{Status: http.StatusOK, Body: envelope.Envelope{Data: grant{g.Token, user{g.Account.Number, g.Account.Username}}}, Grant: &g}, nil
}

func loggedOut() dialect.Reply {
	return dialect.Reply{Status: http.StatusOK, Body: envelope.Envelope{Data: struct{}{}}, LoggedOut: true}
}

func logout(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	_, err := c.Service.Logout(ctx, c.Actor)
	return loggedOut(), err
}

func logoutAll(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	_, err := c.Service.LogoutAll(ctx, c.Actor, c.Identity.Account, "")
	return loggedOut(), err
}
