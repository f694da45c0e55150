package caddymodule

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/chatgate/chatgate/authcore"
)

func init() {
	caddy.RegisterModule(Accounts{})
}

// callTimeout bounds an account call, password hashing and its queue included.
const callTimeout = 15 * time.Second

// Accounts is the HTTP handler chatgate_accounts: it serves the account endpoints of one dialect below a prefix and
// passes every other request on.
type Accounts struct {
	// The wire contract that is spoken: "rooms".
	Dialect string `json:"dialect"`
	// The path that the endpoints are below. Default: the dialect's own, "/api/v1" for rooms.
	Prefix string `json:"prefix,omitempty"`

	app     *App
	dialect dialect
	routes  map[string][]route // by path
	logger  *zap.Logger
}

// dialect is one wire contract over HTTP: what it serves, and how it says that something went wrong.
type dialect interface {
	name() string
	defaultPrefix() string
	routes() []route
	// fail answers a call that did not succeed. It has an answer for every kind.
	fail(w http.ResponseWriter, err *authcore.Error)
	// wrongMethod answers a call of a known path with another method; Allow is set.
	wrongMethod(w http.ResponseWriter)
}

var dialects = []dialect{rooms{}}

// route is one endpoint. Its handler decodes, makes one call on the service, and returns what is to be encoded.
type route struct {
	method string
	path   string // below the prefix
	bearer bool   // needs a session
	handle func(context.Context, *call) (reply, error)
}

// call is a request on its way through the pipeline.
type call struct {
	service *authcore.Service
	client  authcore.Client
	caller  authcore.Identity // of a bearer route
	w       http.ResponseWriter
	r       *http.Request
}

// reply is a success in the dialect's own shape.
type reply struct {
	status int
	body   any
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
	a.routes = make(map[string][]route)
	for _, rt := range a.dialect.routes() {
		a.routes[a.Prefix+rt.path] = append(a.routes[a.Prefix+rt.path], rt)
	}
	return nil
}

// check validates the fields and fills in defaults.
func (a *Accounts) check() error {
	i := slices.IndexFunc(dialects, func(d dialect) bool { return d.name() == a.Dialect })
	if i < 0 {
		return fmt.Errorf("dialect %q is unknown; there is: rooms", a.Dialect)
	}
	a.dialect = dialects[i]
	if a.Prefix == "" {
		a.Prefix = a.dialect.defaultPrefix()
	}
	if !strings.HasPrefix(a.Prefix, "/") || a.Prefix == "/" || path.Clean(a.Prefix) != a.Prefix || strings.ContainsAny(a.Prefix, "*{}?#%;\\ ") {
		return fmt.Errorf("prefix %q is not a path like %s", a.Prefix, a.dialect.defaultPrefix())
	}
	return nil
}

// ServeHTTP is the pipeline of every account call of every HTTP dialect. Its steps are numbered; a dialect fills some
// of them in and can skip none.
func (a *Accounts) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	// 1. Ours? Decoded paths match exactly, so nothing is ours in one spelling and the upstream's in another.
	routes, ok := a.routes[r.URL.Path]
	if !ok {
		return next.ServeHTTP(w, r)
	}
	// 2. Nothing of this is for caches, frames or sniffing.
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	// 3. The method.
	i := slices.IndexFunc(routes, func(rt route) bool { return rt.method == r.Method })
	if i < 0 {
		for _, rt := range routes {
			h.Add("Allow", rt.method)
		}
		a.dialect.wrongMethod(w)
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	// 4 to 7, and 8: every error has an answer.
	rep, err := a.serve(ctx, routes[i], &call{w: w, r: r})
	if err != nil {
		a.fail(w, r, err)
		return nil
	}
	writeJSON(w, rep.status, rep.body)
	return nil
}

func (a *Accounts) serve(ctx context.Context, rt route, c *call) (reply, error) {
	// 4. The stores.
	service, done, err := a.app.Service(ctx)
	if err != nil {
		return reply{}, &authcore.Error{Kind: authcore.KindUnavailable, Msg: "service temporarily unavailable", Err: err, RetryAfter: 5 * time.Second}
	}
	defer done()
	c.service = service
	// 5. Who is calling, as far as the connection tells.
	c.client = clientOf(c.r, a.dialect.name())
	// 6. Who is calling, proven.
	if rt.bearer {
		token, err := bearerToken(c.r)
		if err != nil {
			return reply{}, err
		}
		if c.caller, err = c.service.Authenticate(ctx, token); err != nil {
			return reply{}, err
		}
		setUser(c.r, c.caller)
	}
	// 7. Decode, and one call on the service.
	return rt.handle(ctx, c)
}

// fail logs what is for the operator and lets the dialect say the rest.
func (a *Accounts) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := authcore.AsError(err)
	logFailure(a.logger, r, e)
	setRetryAfter(w, e)
	a.dialect.fail(w, e)
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

// setRetryAfter sets Retry-After in whole seconds, rounded up (RFC 9110, section 10.2.3).
func setRetryAfter(w http.ResponseWriter, e *authcore.Error) {
	if e.Kind == authcore.KindRateLimited || e.Kind == authcore.KindUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(e.RetryAfter.Seconds())))))
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
