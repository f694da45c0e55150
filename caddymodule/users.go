package caddymodule

import (
	"context"
	"net/http"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// users is the dialect of users.txt.
type users struct{}

func (users) name() string                 { return "users" }
func (users) defaultPrefix() string        { return "/users" }
func (users) options() []string            { return []string{"login_creates_users", "origins"} }
func (users) tokenLifetime() time.Duration { return 0 }
func (users) bodies() bodies               { return jsonOrForm }
func (users) answers() answers             { return usersAnswers }
func (users) cookie() string               { return ssid }
func (users) wrongMethod() answer {
	return answer{status: http.StatusMethodNotAllowed, code: "INVALID_METHOD"}
}

func (users) tooEarly() answer { return answer{status: http.StatusTooEarly, code: "TOO_EARLY"} }

func (users) otherOrigin() answer {
	return answer{status: http.StatusForbidden, code: "INVALID_ORIGIN"}
}

func (users) routes() []route {
	return []route{
		{method: http.MethodPost, path: "/login", handle: usersLogin, answers: usersLoginAnswers},
		{method: http.MethodPost, path: "/register", handle: usersRegister},
		{method: http.MethodPost, path: "/requestotp", handle: usersRequestOTP},
		{method: http.MethodPost, path: "/modifypassword", handle: usersModifyPassword},
		{method: http.MethodGet, path: "/info", proof: bySession, handle: usersInfo},
	}
}

// usersEnvelope is the shape of every answer. Its message is a code or an object.
type usersEnvelope struct {
	Success bool      `json:"success"`
	Data    usersData `json:"data"`
}

type usersData struct {
	Message any `json:"message"`
}

func usersOK(message any) reply {
	return reply{status: http.StatusOK, body: usersEnvelope{true, usersData{message}}}
}

func (users) failure(code, _ string) any { return usersEnvelope{false, usersData{code}} }

// ssid is the name of the cookie that a login sets, by contract.
const ssid = "ssid"

// token takes Authorization before the cookie, which is not looked at then: a page's script knows better than its
// browser whom it speaks for.
func (users) token(r *http.Request) (authcore.UnverifiedToken, error) {
	if len(r.Header["Authorization"]) > 0 {
		return bearerToken(r)
	}
	switch cookies := r.CookiesNamed(ssid); {
	case len(cookies) > 1: // one of them was planted, by a neighbouring domain or path
		return "", authcore.Errorf(authcore.KindInvalidInput, "the cookie ssid is there twice")
	case len(cookies) == 1 && cookies[0].Value != "":
		return authcore.UnverifiedToken(cookies[0].Value), nil
	default:
		return "", authcore.Errorf(authcore.KindBadToken, "nobody is logged in")
	}
}

// ssidCookie lives as long as the session may.
func ssidCookie(g authcore.Grant, now time.Time) *http.Cookie {
	return &http.Cookie{
		Name: ssid, Value: string(g.Token), Path: "/", MaxAge: max(1, int(g.Session.ExpiresAt.Sub(now).Round(time.Second)/time.Second)),
		HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode,
	}
}

type usersCredentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

type usersGrant struct {
	UserHash string               `json:"userhash"`
	SSID     authcore.SignedToken `json:"ssid"`
}

func usersLogin(ctx context.Context, c *call) (reply, error) {
	var in usersCredentials
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	if err := allRequired("username", in.Username, "password", in.Password); err != nil {
		return reply{}, err
	}
	login := c.service.Login
	if c.set.loginJoins {
		login = c.service.LoginOrJoin
	}
	g, err := login(ctx, authcore.Credentials{
		ClaimedName: in.Username, Password: authcore.NewPassword(in.Password), TokenLifetime: c.set.tokenLifetime, Client: c.client,
	})
	if err != nil {
		return reply{}, err
	}
	rep := usersOK(usersGrant{c.service.UserHash(g.Account.Username), g.Token})
	rep.cookie = ssidCookie(g, c.service.Now())
	return rep, nil
}

type usersRegistration struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Email    string `json:"email"`
}

func usersRegister(ctx context.Context, c *call) (reply, error) {
	var in usersRegistration
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	if err := allRequired("username", in.Username, "password", in.Password); err != nil {
		return reply{}, err
	}
	_, err := c.service.Register(ctx, authcore.Registration{
		ClaimedName: in.Username, Password: authcore.NewPassword(in.Password), ClaimedEmail: in.Email, Client: c.client,
	})
	return usersOK("USER_INSERT_OK"), err
}

// usersUser is what usersInfo tells its caller. It is an object of their own, so the address is in it.
type usersUser struct {
	UserHash    string            `json:"userhash"`
	Username    authcore.Username `json:"username"`
	DisplayName string            `json:"displayname"`
	Email       *string           `json:"email"`
	Created     string            `json:"created"`
}

func usersInfo(ctx context.Context, c *call) (reply, error) {
	a, err := c.service.Profile(ctx, c.caller)
	if err != nil {
		return reply{}, err
	}
	u := usersUser{c.service.UserHash(a.Username), a.Username, a.DisplayName, nil, wireTime(a.CreatedAt)}
	if u.DisplayName == "" {
		u.DisplayName = string(a.Username)
	}
	if a.Email != "" {
		u.Email = &a.Email
	}
	return usersOK(u), nil
}
