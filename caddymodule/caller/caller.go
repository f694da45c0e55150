package caller

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/chatgate/chatgate/authcore"
)

// Client returns what is known of a client before any check. Caddy has worked out the address, with regard to the
// proxies that it was told to trust.
func Client(r *http.Request, dialect string) authcore.Client {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	addr, _ := netip.ParseAddr(ip)
	return authcore.Client{Dialect: dialect, Addr: addr, UserAgent: r.UserAgent()}
}

// Bearer returns the one token of the Authorization header (RFC 6750, section 2.1).
func Bearer(r *http.Request) (authcore.UnverifiedToken, error) {
	auth := r.Header["Authorization"]
	if len(auth) == 1 {
		if scheme, token, ok := strings.Cut(auth[0], " "); ok && strings.EqualFold(scheme, "Bearer") && token != "" {
			return authcore.UnverifiedToken(token), nil
		}
	}
	return "", authcore.Errorf(authcore.KindBadToken, "a token is needed: Authorization: Bearer <token>")
}

// SetUser gives access logs their user_id and later handlers the usual placeholders.
func SetUser(r *http.Request, id authcore.Identity) {
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	repl.Set("http.auth.user.id", string(id.Account))
	repl.Set("http.auth.user.name", string(id.Username))
}
