package caller

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/chatroom"
)

// Client returns what is known about a client before authentication. The address is the one that Caddy found, past its trusted
// proxies.
func Client(r *http.Request, dialect string) authcore.Client {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	addr, _ := netip.ParseAddr(ip)
	return authcore.Client{Dialect: dialect, Addr: addr, UserAgent: r.UserAgent()}
}

// BehindTrustedProxy reports whether one of Caddy's trusted_proxies sent the request.
func BehindTrustedProxy(r *http.Request) bool {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return trusted
}

// Bearer returns the token of the Authorization header (RFC 6750, section 2.1).
func Bearer(r *http.Request) (authcore.UnverifiedToken, error) {
	auth := r.Header["Authorization"]
	if len(auth) == 1 {
		if scheme, token, ok := strings.Cut(auth[0], " "); ok && strings.EqualFold(scheme, "Bearer") && token != "" {
			return authcore.UnverifiedToken(token), nil
		}
	}
	return "", authcore.Errorf(authcore.KindBadToken, "a token is needed: Authorization: Bearer <token>")
}

// Token returns the token of the Authorization header, or else of the cookie, unless its name is empty. The header comes first
// because a script chose it, while the browser adds the cookie by itself.
func Token(r *http.Request, cookie string) (authcore.UnverifiedToken, error) {
	if cookie == "" || len(r.Header["Authorization"]) > 0 {
		return Bearer(r)
	}
	switch cookies := r.CookiesNamed(cookie); {
	case len(cookies) > 1: // another domain or path planted one of them
		return "", authcore.Errorf(authcore.KindInvalidInput, "the cookie %s is there twice", cookie)
	case len(cookies) == 1 && cookies[0].Value != "":
		return authcore.UnverifiedToken(cookies[0].Value), nil
	default:
		return "", authcore.Errorf(authcore.KindBadToken, "a token is needed: Authorization: Bearer <token>, or the cookie %s", cookie)
	}
}

// SetUser sets the placeholders http.auth.user.*, from which access logs take their user_id.
func SetUser(r *http.Request, id authcore.Identity) {
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	repl.Set("http.auth.user.id", string(id.Account))
	repl.Set("http.auth.user.name", string(id.Username))
}

// Authenticator authenticates the tokens of one request. It remembers the result for a token that was found in a cookie.
type Authenticator struct {
	ctx   context.Context // of the request
	prove Prove

	token authcore.UnverifiedToken // the last one in force
	id    authcore.ProvenSession   // its session

	// Err is the error that kept the standing of a token from being found out, or nil.
	Err error
}

// Prove proves a token: [authcore.Service.Authenticate], or AuthenticateOwner for what owners do with their account.
type Prove func(context.Context, authcore.UnverifiedToken) (authcore.ProvenSession, error)

// NewAuthenticator returns an authenticator for the request of ctx.
func NewAuthenticator(ctx context.Context, prove Prove) *Authenticator {
	return &Authenticator{ctx: ctx, prove: prove}
}

// Standing returns the standing of a token from a cookie. If that cannot be found out, it returns Living and sets Err: the
// request then fails, and the browser keeps the cookie.
func (a *Authenticator) Standing(token authcore.UnverifiedToken) chatroom.Standing {
	id, err := a.prove(a.ctx, token)
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
	return a.prove(a.ctx, token)
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

// SetCookie gives the browser the token of a session, for as long as the session lasts. Scripts cannot read the cookie, and
// pages of other sites make the browser send it only by a link.
func SetCookie(h http.Header, name string, g authcore.Grant, now time.Time) {
	left := g.Session.ExpiresAt.Sub(now).Round(time.Second) / time.Second
	c := &http.Cookie{
		Name: name, Value: string(g.Token), Path: "/", MaxAge: max(1, int(left)), // 0 would be left out
		HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode,
	}
	h.Add("Set-Cookie", c.String())
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
