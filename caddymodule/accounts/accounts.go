package accounts

import (
	"cmp"
	"context"
	"fmt"
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
	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/caddymodule/endpoint"
	"github.com/chatgate/chatgate/caddymodule/option"
	"github.com/chatgate/chatgate/caddymodule/origin"
	"github.com/chatgate/chatgate/chatroom"
)

func init() {
	caddy.RegisterModule(Accounts{})
}

// dialects has every dialect of chatgate_accounts.
var dialects = []*dialect.Dialect{&rooms.Dialect, &auth.Dialect, &users.Dialect}

// dialectNamed returns a dialect, or nil.
func dialectNamed(name string) *dialect.Dialect {
	i := slices.IndexFunc(dialects, func(d *dialect.Dialect) bool { return d.Name == name })
	if i < 0 {
		return nil
	}
	return dialects[i]
}

// dialectNames lists the dialects for an error message.
func dialectNames() string {
	var names []string
	for _, d := range dialects {
		names = append(names, d.Name)
	}
	return strings.Join(names, ", ")
}

// callTimeout is how long an account call may take, including the queue for hashing passwords.
const callTimeout = 15 * time.Second

// Accounts is the HTTP handler chatgate_accounts. It serves the account endpoints of one dialect below a prefix, and passes all
// other requests on.
type Accounts struct {
	// The dialect: "rooms", "auth" or "users".
	Dialect string `json:"dialect"`
	// The path prefix of the endpoints. Default: "/api/v1" for rooms, "/api/auth" for auth, "/users" for users.
	Prefix string `json:"prefix,omitempty"`
	// How long a token is valid, from 1m to 400d; never longer than its session. Default: 1h for auth without a cookie, where
	// tokens can be refreshed; otherwise as long as the session.
	TokenLifetime caddy.Duration `json:"token_lifetime,omitempty"`
	// The name of a cookie that may hold the token, and gets it at a login. Only for rooms and auth; users has ssid. Default: none.
	Cookie string `json:"cookie,omitempty"`
	// Whether registering takes an invite. Only for auth. Default: true.
	RequireInvites *bool `json:"require_invites,omitempty"`
	// Whether a login with an unknown username creates the account. Only for users. Default: false.
	LoginCreatesUsers bool `json:"login_creates_users,omitempty"`
	// Origins whose pages may call the endpoints and read the answers, besides the site's own; null and * are those without one
	// and all, and never use a cookie. Default: none.
	Origins []string `json:"origins,omitempty"`

	app      services
	dialect  *dialect.Dialect
	settings dialect.Settings
	origins  chatroom.Origins
	cookie   string                     // name of the cookie that holds the token; empty: none
	routes   map[string][]dialect.Route // by path
	named    map[string][]dialect.Route // those that end in {id}, by the path before it
	spelt    endpoint.Spellings         // of the endpoints
	logger   *zap.Logger
}

// services returns the account service under the policy in force. Call done after the request.
type services interface {
	Service(ctx context.Context) (service *authcore.Service, done func(), err error)
}

// CaddyModule returns the Caddy module information.
func (Accounts) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.chatgate_accounts", New: func() caddy.Module { return new(Accounts) }}
}

// Provision finds the app and lays out the routes.
func (a *Accounts) Provision(ctx caddy.Context) error {
	gate, err := app.Of(ctx)
	if err != nil {
		return err
	}
	a.app, a.logger = gate, ctx.Logger()
	if err := a.check(); err != nil {
		return err
	}
	a.settings = dialect.Settings{
		Bodies: a.dialect.Bodies, LoginJoins: a.LoginCreatesUsers,
		NeedInvite:    a.RequireInvites == nil || *a.RequireInvites, // matters only in a dialect with invites
		TokenLifetime: time.Duration(a.TokenLifetime),
	}
	a.origins, a.cookie = origin.Of(a.Origins), cmp.Or(a.dialect.Cookie, a.Cookie)
	a.layOut(a.dialect.Routes)
	return nil
}

// Options implements [option.Holder]: the options that the dialect takes, or those of all dialects where it is not known.
func (a *Accounts) Options() option.Table {
	prefix := option.Text("prefix", &a.Prefix)
	lifetime := option.Duration("token_lifetime", &a.TokenLifetime).Between("1m", option.DurationText(app.MaxTokens))
	d := dialectNamed(a.Dialect)
	if d != nil {
		prefix.Default(d.Prefix).Must(func(path string) error {
			if !endpoint.LiteralPath(path) {
				return fmt.Errorf("prefix %q is not a path like %s", path, d.Prefix)
			}
			return nil
		})
		if d.TokenLifetime != 0 && a.Cookie == "" { // a browser keeps its cookie as long as the session, and refreshes nothing
			lifetime.DefaultOf(caddy.Duration(d.TokenLifetime))
		}
	}
	t := option.Table{prefix.Unbounded("the rule of its dialect"), lifetime, origin.Option(&a.Origins)}
	for _, o := range []option.Option{
		origin.Cookie(&a.Cookie),
		option.OnUnless("require_invites", &a.RequireInvites),
		option.OnOff("login_creates_users", &a.LoginCreatesUsers).OrBare(),
	} {
		if d == nil || slices.Contains(d.Options, o.Describe().Name) {
			t = append(t, o)
		}
	}
	return t
}

// check validates the options and fills in the defaults.
func (a *Accounts) check() error {
	if a.dialect = dialectNamed(a.Dialect); a.dialect == nil {
		return fmt.Errorf("dialect %q is unknown; there are: %s", a.Dialect, dialectNames())
	}
	t := a.Options()
	if err := t.Check(); err != nil {
		return err
	}
	others := *a
	others.Dialect = ""
	all := others.Options()
	for _, name := range all.Names() {
		if all.Set(name) != "" && !slices.Contains(t.Names(), name) {
			return fmt.Errorf("%s is no option of the dialect %s", name, a.Dialect)
		}
	}
	t.Fill()
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Accounts)(nil)
	_ caddyhttp.MiddlewareHandler = (*Accounts)(nil)
	_ option.Holder               = (*Accounts)(nil)
)
