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
	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/caddymodule/endpoint"
	"github.com/chatgate/chatgate/chatroom"
)

func init() {
	caddy.RegisterModule(Accounts{})
}

// dialects has every dialect of chatgate_accounts.
var dialects = []*dialect.Dialect{&rooms.Dialect, &auth.Dialect, &users.Dialect}

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
	// How long a token is valid, from 1m to 400d; never longer than its session. Default: 1h for auth, where tokens can be
	// refreshed; otherwise as long as the session.
	TokenLifetime caddy.Duration `json:"token_lifetime,omitempty"`
	// Whether registering takes an invite. Only for auth. Default: true.
	RequireInvites *bool `json:"require_invites,omitempty"`
	// Whether a login with an unknown username creates the account. Only for users. Default: false.
	LoginCreatesUsers bool `json:"login_creates_users,omitempty"`
	// Origins whose pages may call the endpoints, besides their own. Only for users.
	Origins []string `json:"origins,omitempty"`

	app      services
	dialect  *dialect.Dialect
	settings dialect.Settings
	origins  *http.CrossOriginProtection
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
		NeedInvite:    a.RequireInvites == nil || *a.RequireInvites, // matters only in a dialect with invites
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

// Interface guards
var (
	_ caddy.Provisioner           = (*Accounts)(nil)
	_ caddyhttp.MiddlewareHandler = (*Accounts)(nil)
)
