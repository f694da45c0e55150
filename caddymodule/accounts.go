package caddymodule

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/chatroom"
)

func init() {
	caddy.RegisterModule(Accounts{})
}

// callTimeout bounds an account call, password hashing and its queue included.
const callTimeout = 15 * time.Second

// Accounts is the HTTP handler chatgate_accounts: it serves the account endpoints of one dialect below a prefix and
// passes every other request on.
type Accounts struct {
	// The wire contract that is spoken: "rooms", "auth" or "users".
	Dialect string `json:"dialect"`
	// The path that the endpoints are below. Default: the dialect's own, "/api/v1" for rooms, "/api/auth" for auth and
	// "/users" for users.
	Prefix string `json:"prefix,omitempty"`
	// How long a token can be used: 1m to 400d, and no longer than its session. Default: 1h for auth, where it can be
	// refreshed; else as long as its session.
	TokenLifetime caddy.Duration `json:"token_lifetime,omitempty"`
	// Of auth: whether an account is only made with an invite. Default: true.
	RequireInvites *bool `json:"require_invites,omitempty"`
	// Of users: whether a login with an unknown username creates the account. Default: false.
	LoginCreatesUsers bool `json:"login_creates_users,omitempty"`
	// Of users: origins whose pages may call it, beside its own.
	Origins []string `json:"origins,omitempty"`

	app      *App
	dialect  dialect
	settings settings
	origins  *http.CrossOriginProtection
	routes   map[string][]route // by path
	named    map[string][]route // those whose last segment stands for any, by what is before it
	spelt    spellings          // of the endpoints
	logger   *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (Accounts) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.chatgate_accounts", New: func() caddy.Module { return new(Accounts) }}
}

// Provision finds the app and lays out the routes.
func (a *Accounts) Provision(ctx caddy.Context) error {
	app, err := ctx.App("chatgate")
	if err != nil {
		return fmt.Errorf("getting the chatgate app: %w", err)
	}
	a.app, a.logger = app.(*App), ctx.Logger()
	if err := a.check(); err != nil {
		return err
	}
	a.settings = settings{
		bodies: a.dialect.bodies(), loginJoins: a.LoginCreatesUsers,
		needInvite:    a.RequireInvites == nil || *a.RequireInvites, // where the dialect has invites
		tokenLifetime: time.Duration(orElse(a.TokenLifetime, caddy.Duration(a.dialect.tokenLifetime()))),
	}
	a.origins = http.NewCrossOriginProtection()
	for _, o := range a.Origins {
		if err := a.origins.AddTrustedOrigin(o); err != nil {
			return fmt.Errorf("origin %q: %w", o, err)
		}
	}
	a.layOut(a.dialect.routes())
	return nil
}

func (a *Accounts) layOut(routes []route) {
	a.routes, a.named, a.spelt = make(map[string][]route), make(map[string][]route), spellings{}
	for _, rt := range routes {
		a.spelt.add(a.Prefix + rt.path)
		if before, ok := strings.CutSuffix(rt.path, "{id}"); ok {
			a.named[a.Prefix+before] = append(a.named[a.Prefix+before], rt)
		} else {
			a.routes[a.Prefix+rt.path] = append(a.routes[a.Prefix+rt.path], rt)
		}
	}
}

// find returns the routes of a path, and its last segment where that stands for any.
func (a *Accounts) find(path string) (routes []route, id string) {
	if routes = a.routes[path]; routes != nil {
		return routes, ""
	}
	slash := strings.LastIndexByte(path, '/') + 1
	if id = path[slash:]; id != "" {
		return a.named[path[:slash]], id
	}
	return nil, ""
}

// check validates the fields and fills in defaults.
func (a *Accounts) check() error {
	i := slices.IndexFunc(dialects, func(d dialect) bool { return d.name() == a.Dialect })
	if i < 0 {
		return fmt.Errorf("dialect %q is unknown; there are: %s", a.Dialect, dialectNames())
	}
	a.dialect = dialects[i]
	if a.Prefix == "" {
		a.Prefix = a.dialect.defaultPrefix()
	}
	if !literalPath(a.Prefix) {
		return fmt.Errorf("prefix %q is not a path like %s", a.Prefix, a.dialect.defaultPrefix())
	}
	if d := time.Duration(a.TokenLifetime); d != 0 && (d < time.Minute || d > maxTokens) {
		return fmt.Errorf("token_lifetime is %s; it must be between 1m and 400d", d)
	}
	for _, o := range []struct {
		name string
		set  bool
	}{{"require_invites", a.RequireInvites != nil}, {"login_creates_users", a.LoginCreatesUsers}, {"origins", a.Origins != nil}} {
		if o.set && !slices.Contains(a.dialect.options(), o.name) {
			return fmt.Errorf("%s is no option of the dialect %s", o.name, a.Dialect)
		}
	}
	for _, o := range a.Origins {
		if as, ok := chatroom.ParseOrigin(o); !ok || as != o {
			return fmt.Errorf("origin %q is not of the form https://chat.example.com[:port]", o)
		}
	}
	return nil
}

// ServeHTTP is the pipeline of every account call of every HTTP dialect. Its steps are numbered; a dialect fills some
// of them in and can skip none.
func (a *Accounts) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	// 1. Ours? Decoded paths match exactly, but for a slash behind them. What some server would take for an endpoint of
	// ours is no other's either: there may be a password in it, and the chat is not to have that.
	routes, id := a.find(r.URL.Path)
	if routes == nil {
		routes, id = a.find(withoutSlash(r))
	}
	meant := ""
	if routes == nil {
		if meant = a.spelt.meant(pathOf(r)); meant == "" {
			return next.ServeHTTP(w, r)
		}
	}
	// 2. Nothing of this is for caches, frames or sniffing.
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if routes == nil {
		a.fail(w, r, route{}, authcore.Errorf(authcore.KindNotFound, "there is nothing here; the endpoint is %s", meant))
		return nil
	}
	// 3. What may be a replay is not heard.
	if ref := chatroom.TooEarly(r); ref != nil {
		no := a.dialect.tooEarly()
		writeJSON(w, no.status, a.dialect.failure(no.code, ref.Msg))
		return nil
	}
	// 4. The method. HEAD is GET without the body, which the server leaves out by itself.
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	i := slices.IndexFunc(routes, func(rt route) bool { return rt.method == method })
	if i < 0 {
		h.Set("Allow", strings.Join(allowed(routes), ", "))
		no := a.dialect.wrongMethod()
		writeJSON(w, no.status, a.dialect.failure(no.code, no.text))
		return nil
	}
	// 5. Where a cookie is involved, a page of another site must not call in its visitor's name, nor log them in as
	// somebody else.
	if no := a.dialect.otherOrigin(); no.status != 0 && a.origins.Check(r) != nil {
		writeJSON(w, no.status, a.dialect.failure(no.code, no.text))
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	// 6 to 9, and 10: every error has an answer.
	rep, err := a.serve(ctx, routes[i], &call{set: a.settings, id: id, w: w, r: r})
	if err != nil {
		a.fail(w, r, routes[i], err)
		return nil
	}
	if rep.cookie != nil {
		http.SetCookie(w, rep.cookie)
	}
	if rep.body == nil {
		w.WriteHeader(rep.status)
		return nil
	}
	writeJSON(w, rep.status, rep.body)
	return nil
}

func (a *Accounts) serve(ctx context.Context, rt route, c *call) (reply, error) {
	// 6. The stores.
	service, done, err := a.app.Service(ctx)
	if err != nil {
		return reply{}, &authcore.Error{Kind: authcore.KindUnavailable, Msg: "service temporarily unavailable", Err: err, RetryAfter: 5 * time.Second}
	}
	defer done()
	c.service = service
	// 7. Who is calling, as far as the connection tells.
	c.client = clientOf(c.r, a.dialect.name())
	// 8. Who is calling, proven. A cookie is looked at only where nothing was chosen.
	asked := asker{ctx: ctx, service: service}
	if rt.proof != byAnybody {
		if name := a.dialect.cookie(); name != "" && len(c.r.Header["Authorization"]) == 0 {
			if err := siftCookies(c, name, &asked); err != nil {
				return reply{}, err
			}
		}
		if c.token, err = a.dialect.token(c.r); err != nil {
			return reply{}, err
		}
	}
	if rt.proof == bySession {
		if c.caller, err = asked.authenticate(c.token); err != nil {
			return reply{}, err
		}
		setUser(c.r, c.caller)
	}
	if c.id != "" && !plainID(c.id) {
		return reply{}, authcore.Errorf(authcore.KindNotFound, "there is nothing of that name")
	}
	// 9. Decode, and one call on the service.
	return rt.handle(ctx, c)
}

// allowed are the methods of the routes of a path.
func allowed(routes []route) []string {
	var methods []string
	for _, rt := range routes {
		methods = append(methods, rt.method)
		if rt.method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	return methods
}

// plainID reports whether a segment of a path can be an id of ours, so that nothing else reaches a store.
func plainID(s string) bool {
	for i := range len(s) {
		if !tokenByte(s[i]) || s[i] == '.' {
			return false
		}
	}
	return len(s) <= 64
}

// fail logs what is for the operator and lets the dialect say the rest.
func (a *Accounts) fail(w http.ResponseWriter, r *http.Request, rt route, err error) {
	e := authcore.AsError(err)
	logFailure(a.logger, r, e)
	setRetryAfter(w, e)
	writeError(w, a.dialect, rt.answers, e)
}

// logFailure writes what an operator has to know. A client's mistakes are not among it.
func logFailure(logger *zap.Logger, r *http.Request, e *authcore.Error) {
	if e.Kind == authcore.KindInternal || e.Kind == authcore.KindUnavailable && e.Err != nil {
		level := zap.ErrorLevel
		if r.Context().Err() != nil { // the client went away, and with it whatever it waited for
			level = zap.DebugLevel
		}
		logger.Log(level, "request failed", zap.String("kind", e.Kind.String()), zap.String("path", r.URL.Path), zap.Error(e.Err))
	}
}

// clientOf returns what is known of a client before any check. Caddy has worked out the address, with regard to the
// proxies that it was told to trust.
func clientOf(r *http.Request, dialect string) authcore.Client {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	addr, _ := netip.ParseAddr(ip)
	return authcore.Client{Dialect: dialect, Addr: addr, UserAgent: r.UserAgent()}
}

// bearerToken returns the one token of the Authorization header (RFC 6750, section 2.1).
func bearerToken(r *http.Request) (authcore.UnverifiedToken, error) {
	auth := r.Header["Authorization"]
	if len(auth) == 1 {
		if scheme, token, ok := strings.Cut(auth[0], " "); ok && strings.EqualFold(scheme, "Bearer") && token != "" {
			return authcore.UnverifiedToken(token), nil
		}
	}
	return "", authcore.Errorf(authcore.KindBadToken, "a token is needed: Authorization: Bearer <token>")
}

// setUser gives access logs their user_id and later handlers the usual placeholders.
func setUser(r *http.Request, id authcore.Identity) {
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	repl.Set("http.auth.user.id", string(id.Account))
	repl.Set("http.auth.user.name", string(id.Username))
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Accounts)(nil)
	_ caddyhttp.MiddlewareHandler = (*Accounts)(nil)
)
