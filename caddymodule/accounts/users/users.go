package users

import (
	"context"
	"net/http"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/accounts/dialect"
	"github.com/chatgate/chatgate/caddymodule/caller"
)

// Dialect is the dialect users.
var Dialect = dialect.Dialect{
	Name: "users", Prefix: "/users", Options: []string{"login_creates_users"}, Bodies: dialect.JSONOrForm,
	Cookie: ssid, Token: token, Answers: answers,
	Routes: []dialect.Route{
		{Method: http.MethodPost, Path: "/login", Handle: login, Answers: loginAnswers},
		{Method: http.MethodPost, Path: "/register", Handle: register},
		{Method: http.MethodPost, Path: "/requestotp", Handle: requestOTP},
		{Method: http.MethodPost, Path: "/modifypassword", Handle: modifyPassword},
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

// ssid is the name of the cookie that a login sets.
const ssid = "ssid"

// token returns the token of the Authorization header, or else of the cookie. The header comes first because a script chose
// it, while the browser adds the cookie by itself.
func token(r *http.Request) (authcore.UnverifiedToken, error) {
	if len(r.Header["Authorization"]) > 0 {
		return caller.Bearer(r)
	}
	switch cookies := r.CookiesNamed(ssid); {
	case len(cookies) > 1: // another domain or path planted one of them
		return "", authcore.Errorf(authcore.KindInvalidInput, "the cookie ssid is there twice")
	case len(cookies) == 1 && cookies[0].Value != "":
		return authcore.UnverifiedToken(cookies[0].Value), nil
	default:
		return "", authcore.Errorf(authcore.KindBadToken, "nobody is logged in")
	}
}

// ssidCookie returns a cookie that lasts until the session ends at the latest.
func ssidCookie(g authcore.Grant, now time.Time) *http.Cookie {
	return &http.Cookie{
		Name: ssid, Value: string(g.Token), Path: "/", MaxAge: max(1, int(g.Session.ExpiresAt.Sub(now).Round(time.Second)/time.Second)),
		HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode,
	}
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
	rep.Cookie = ssidCookie(g, time.Now())
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
	Created     string            `json:"created"`
}

func info(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	a, err := c.Service.Profile(ctx, c.Identity)
	if err != nil {
		return dialect.Reply{}, err
	}
	u := user{c.Service.UserHash(a.Username), a.Username, a.DisplayName, nil, dialect.WireTime(a.CreatedAt)}
	if u.DisplayName == "" {
		u.DisplayName = string(a.Username)
	}
	if a.Email != "" {
		u.Email = &a.Email
	}
	return ok(u), nil
}
