package accounts

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/accounts/auth"
	"github.com/chatgate/chatgate/caddymodule/accounts/dialect"
	"github.com/chatgate/chatgate/caddymodule/accounts/rooms"
	"github.com/chatgate/chatgate/caddymodule/accounts/users"
	"github.com/chatgate/chatgate/caddymodule/answer"
	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/caddymodule/caller"
	"github.com/chatgate/chatgate/caddymodule/endpoint"
	"github.com/chatgate/chatgate/chatroom"
)

func init() {
	caddy.RegisterModule(Accounts{})
}

// dialects are those that chatgate_accounts speaks.
var dialects = []*dialect.Dialect{&rooms.Dialect, &auth.Dialect, &users.Dialect}

// dialectNames lists the dialects for an error message.
func dialectNames() string {
	var names []string
	for _, d := range dialects {
		names = append(names, d.Name)
	}
	return strings.Join(names, ", ")
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

	app      services
	dialect  *dialect.Dialect
	settings dialect.Settings
	origins  *http.CrossOriginProtection
	routes   map[string][]dialect.Route // by path
	named    map[string][]dialect.Route // those whose last segment stands for any, by what is before it
	spelt    endpoint.Spellings         // of the endpoints
	logger   *zap.Logger
}

// services hands out the operations under the policy in force; call done when the request is over.
type services interface {
	Service(ctx context.Context) (service *authcore.Service, done func(), err error)
}

// CaddyModule returns the Caddy module information.
func (Accounts) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.chatgate_accounts", New: func() caddy.Module { return new(Accounts) }}
}

// Provision finds the app and lays out the routes.
func (a *Accounts) Provision(ctx caddy.Context) error {
	gate, err := ctx.App("chatgate")
	if err != nil {
		return fmt.Errorf("getting the chatgate app: %w", err)
	}
	a.app, a.logger = gate.(*app.App), ctx.Logger()
	if err := a.check(); err != nil {
		return err
	}
	a.settings = dialect.Settings{
		Bodies: a.dialect.Bodies, LoginJoins: a.LoginCreatesUsers,
		NeedInvite:    a.RequireInvites == nil || *a.RequireInvites, // where the dialect has invites
		TokenLifetime: time.Duration(cmp.Or(a.TokenLifetime, caddy.Duration(a.dialect.TokenLifetime))),
	}
	a.origins = http.NewCrossOriginProtection()
	for _, o := range a.Origins {
		if err := a.origins.AddTrustedOrigin(o); err != nil {
			return fmt.Errorf("origin %q: %w", o, err)
		}
	}
	a.layOut(a.dialect.Routes)
	return nil
}

func (a *Accounts) layOut(routes []dialect.Route) {
	a.routes, a.named, a.spelt = make(map[string][]dialect.Route), make(map[string][]dialect.Route), endpoint.Spellings{}
	for _, rt := range routes {
		a.spelt.Add(a.Prefix + rt.Path)
		if before, ok := strings.CutSuffix(rt.Path, "{id}"); ok {
			a.named[a.Prefix+before] = append(a.named[a.Prefix+before], rt)
		} else {
			a.routes[a.Prefix+rt.Path] = append(a.routes[a.Prefix+rt.Path], rt)
		}
	}
}

// find returns the routes of a path, and its last segment where that stands for any.
func (a *Accounts) find(path string) (routes []dialect.Route, id string) {
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
	i := slices.IndexFunc(dialects, func(d *dialect.Dialect) bool { return d.Name == a.Dialect })
	if i < 0 {
		return fmt.Errorf("dialect %q is unknown; there are: %s", a.Dialect, dialectNames())
	}
	a.dialect = dialects[i]
	if a.Prefix == "" {
		a.Prefix = a.dialect.Prefix
	}
	if !endpoint.LiteralPath(a.Prefix) {
		return fmt.Errorf("prefix %q is not a path like %s", a.Prefix, a.dialect.Prefix)
	}
	if d := time.Duration(a.TokenLifetime); d != 0 && (d < time.Minute || d > app.MaxTokens) {
		return fmt.Errorf("token_lifetime is %s; it must be between 1m and 400d", d)
	}
	for _, o := range []struct {
		name string
		set  bool
	}{{"require_invites", a.RequireInvites != nil}, {"login_creates_users", a.LoginCreatesUsers}, {"origins", a.Origins != nil}} {
		if o.set && !slices.Contains(a.dialect.Options, o.name) {
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
		routes, id = a.find(endpoint.WithoutSlash(r))
	}
	meant := ""
	if routes == nil {
		if meant = a.spelt.Meant(endpoint.PathOf(r)); meant == "" {
			return next.ServeHTTP(w, r)
		}
	}
	// 2. Nothing of this is for caches, frames or sniffing.
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if routes == nil {
		a.fail(w, r, dialect.Route{}, authcore.Errorf(authcore.KindNotFound, "there is nothing here; the endpoint is %s", meant))
		return nil
	}
	// 3. What may be a replay is not heard.
	if ref := chatroom.TooEarly(r); ref != nil {
		no := a.dialect.TooEarly
		answer.JSON(w, no.Status, a.dialect.Failure(no.Code, ref.Msg))
		return nil
	}
	// 4. The method. HEAD is GET without the body, which the server leaves out by itself.
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	i := slices.IndexFunc(routes, func(rt dialect.Route) bool { return rt.Method == method })
	if i < 0 {
		h.Set("Allow", strings.Join(allowed(routes), ", "))
		no := a.dialect.WrongMethod
		answer.JSON(w, no.Status, a.dialect.Failure(no.Code, no.Text))
		return nil
	}
	// 5. Where a cookie is involved, a page of another site must not call in its visitor's name, nor log them in as
	// somebody else.
	if no := a.dialect.OtherOrigin; no.Status != 0 && a.origins.Check(r) != nil {
		answer.JSON(w, no.Status, a.dialect.Failure(no.Code, no.Text))
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	// 6 to 9, and 10: every error has an answer.
	c := dialect.NewCall(w, r, a.settings)
	c.ID = id
	rep, err := a.serve(ctx, routes[i], c)
	if err != nil {
		a.fail(w, r, routes[i], err)
		return nil
	}
	if rep.Cookie != nil {
		http.SetCookie(w, rep.Cookie)
	}
	if rep.Body == nil {
		w.WriteHeader(rep.Status)
		return nil
	}
	answer.JSON(w, rep.Status, rep.Body)
	return nil
}

func (a *Accounts) serve(ctx context.Context, rt dialect.Route, c *dialect.Call) (dialect.Reply, error) {
	// 6. The stores.
	service, done, err := a.app.Service(ctx)
	if err != nil {
		return dialect.Reply{}, &authcore.Error{Kind: authcore.KindUnavailable, Msg: "service temporarily unavailable", Err: err, RetryAfter: 5 * time.Second}
	}
	defer done()
	c.Service = service
	// 7. Who is calling, as far as the connection tells.
	c.Client = caller.Client(c.Request, a.dialect.Name)
	// 8. Who is calling, proven. A cookie is looked at only where nothing was chosen.
	asked := caller.NewAsker(ctx, service)
	if rt.Proof != dialect.ByAnybody {
		if name := a.dialect.Cookie; name != "" && len(c.Request.Header["Authorization"]) == 0 {
			if err := siftCookies(c, name, asked); err != nil {
				return dialect.Reply{}, err
			}
		}
		if c.Token, err = a.dialect.Token(c.Request); err != nil {
			return dialect.Reply{}, err
		}
	}
	if rt.Proof == dialect.BySession {
		proven, err := asked.Authenticate(c.Token)
		if err != nil {
			return dialect.Reply{}, err
		}
		c.Caller = proven.Identity
		caller.SetUser(c.Request, c.Caller)
	}
	if c.ID != "" && !plainID(c.ID) {
		return dialect.Reply{}, authcore.Errorf(authcore.KindNotFound, "there is nothing of that name")
	}
	// 9. Decode, and one call on the service.
	return rt.Handle(ctx, c)
}

// allowed are the methods of the routes of a path.
func allowed(routes []dialect.Route) []string {
	var methods []string
	for _, rt := range routes {
		methods = append(methods, rt.Method)
		if rt.Method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	return methods
}

// plainID reports whether a segment of a path can be an id of ours, so that nothing else reaches a store.
func plainID(s string) bool {
	for i := range len(s) {
		if c := s[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '-' || c == '_') {
			return false
		}
	}
	return len(s) <= 64
}

// fail logs what is for the operator and lets the dialect say the rest.
func (a *Accounts) fail(w http.ResponseWriter, r *http.Request, rt dialect.Route, err error) {
	e := authcore.AsError(err)
	answer.LogFailure(a.logger, r, e)
	answer.SetRetryAfter(w, e)
	a.dialect.Fail(w, rt.Answers, e)
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Accounts)(nil)
	_ caddyhttp.MiddlewareHandler = (*Accounts)(nil)
)
