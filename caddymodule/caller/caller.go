package caller

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/chatgate/chatgate/authcore"
)

// Client returns what is known about a client before authentication. The address is the one that Caddy found, past its trusted
// proxies.
func Client(r *http.Request, dialect string) authcore.Client {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	addr, _ := netip.ParseAddr(ip)
	return authcore.Client{Dialect: dialect, Addr: addr, UserAgent: r.UserAgent()}
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

// SetUser sets the placeholders http.auth.user.*, from which access logs take their user_id.
func SetUser(r *http.Request, id authcore.Identity) {
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	repl.Set("http.auth.user.id", string(id.Account))
	repl.Set("http.auth.user.name", string(id.Username))
}
