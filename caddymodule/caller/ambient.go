package caller

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/chatroom"
)

// Authenticator authenticates the tokens of one request. It remembers the result for a token that was found in a cookie.
type Authenticator struct {
	ctx     context.Context // of the request
	service *authcore.Service

	token authcore.UnverifiedToken // the last one in force
	id    authcore.ProvenSession   // its session

	// Err is the error that kept the standing of a token from being found out, or nil.
	Err error
}

// NewAuthenticator returns an authenticator for the request of ctx.
func NewAuthenticator(ctx context.Context, service *authcore.Service) *Authenticator {
	return &Authenticator{ctx: ctx, service: service}
}

// Standing returns the standing of a token from a cookie. If that cannot be found out, it returns Living and sets Err: the
// request then fails, and the browser keeps the cookie.
func (a *Authenticator) Standing(token authcore.UnverifiedToken) chatroom.Standing {
	id, err := a.service.Authenticate(a.ctx, token)
	standing, unknown := standingOf(err)
	if standing == chatroom.Living {
		a.token, a.id = token, id
	}
	if unknown != nil {
		a.Err = unknown
	}
	return standing
}

// Authenticate returns the session of a token. It does not ask again for a token that Standing has found to be living: a
// second answer could differ from the first, and the request would belong neither to a visitor nor to an account.
func (a *Authenticator) Authenticate(token authcore.UnverifiedToken) (authcore.ProvenSession, error) {
	if a.token == token {
		return a.id, a.Err
	}
	return a.service.Authenticate(a.ctx, token)
}

// standingOf returns the standing of a token that authenticated with err, and err itself if it tells nothing about the token.
func standingOf(err error) (chatroom.Standing, error) {
	switch {
	case err == nil:
		return chatroom.Living, nil
	case authcore.WasOurs(err):
		return chatroom.Over, nil
	case authcore.KindOf(err) == authcore.KindBadToken:
		return chatroom.Foreign, nil
	default:
		return chatroom.Living, err
	}
}

// ExpireCookie makes the browser delete a cookie that has the path /.
func ExpireCookie(h http.Header, name string, secure bool) {
	dead := &http.Cookie{ //nolint:gosec // Secure where a browser accepts that; it has no value
		Name: name, Path: "/", Expires: time.Unix(0, 0), MaxAge: -1, HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode,
	}
	h.Add("Set-Cookie", dead.String())
	h.Set("Cache-Control", "no-store") // or a cache would delete other people's
}

// ExpireCookieFor is ExpireCookie for a cookie that another server may have set, and over plain HTTP, where a browser refuses
// Secure. A cookie whose name has a prefix needs it (draft-ietf-httpbis-rfc6265bis, section 4.1.3).
func ExpireCookieFor(w http.ResponseWriter, r *http.Request, name string) {
	ExpireCookie(w.Header(), name, r.TLS != nil || strings.HasPrefix(name, "__"))
}
