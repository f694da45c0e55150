package proxy

import (
	"errors"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/caddymodule/identity"
	"github.com/chatgate/chatgate/caddymodule/option"
	"github.com/chatgate/chatgate/caddymodule/origin"
	"github.com/chatgate/chatgate/chatroom"
)

func init() {
	caddy.RegisterModule(Proxy{})
}

// Proxy is the HTTP handler chatgate_proxy, the gate in front of a chat. It authenticates requests, tells the upstream who is
// asking, and relays WebSockets itself, so that they end with their session and outlive the configuration. Upstreams, load
// balancing, health checks, retries, headers and TLS are configured as for reverse_proxy.
type Proxy struct {
	// What visitors without a token may do: "read_only" (the default), "refuse", "allow", or whatever the upstream lets requests
	// do that do not bear Remote-Access ("unmarked").
	Anonymous string `json:"anonymous,omitempty"`
	// Whether CORS preflights, which bear no token, are refused with anonymous: "refuse" ("refuse", the default), or "pass".
	Preflights string `json:"preflights,omitempty"`
	// How a WebSocket with a bad token is refused: with status 401 ("refuse", the default), or, since browsers do not show a
	// script the status of a handshake, with a handshake that succeeds and close code 4401 ("close").
	BadToken string `json:"bad_token,omitempty"`
	// When a WebSocket ends: with its "session" (the default), or already when its "token" expires.
	Expiry string `json:"expiry,omitempty"`
	// The name of the cookie that may hold the token. Default: none.
	Cookie string `json:"cookie,omitempty"`
	// Origins whose pages may use the cookie and read why a request was refused, besides the site's own; null and * are those
	// without one and all, and never use the cookie.
	Origins []string `json:"origins,omitempty"`
	// The name of the query parameter that may hold the token. Default: none, since URLs end up in logs.
	Query string `json:"query,omitempty"`
	// Where tokens are looked for: any of "subprotocol", "authorization", "cookie" and "query". What is elsewhere is the upstream's
	// and passes. Default: in the first two, and in the cookie and the query if they are named.
	TokenFrom []string `json:"token_from,omitempty"`
	// What paths may have although servers understand it differently: "encoded_slash" (%2f), "semicolon". Default: neither.
	AllowInPath []string `json:"allow_in_path,omitempty"`
	// The headers that tell the upstream who is asking. "off" as a name omits one.
	Identity *chatroom.IdentityHeaders `json:"identity,omitempty"`
	// Headers to remove from every request, besides those that look like an identity. A name that ends in * matches every name
	// that begins so. A full name takes precedence over such a pattern, and then keep over strip.
	Strip []string `json:"strip,omitempty"`
	// Headers that clients may send although they look like an identity, such as X-User-Id. A name that ends in -* matches every
	// name that continues with another word.
	Keep []string `json:"keep,omitempty"`
	// The maximum size of a WebSocket message, in bytes; -1 is no limit. Default: 16 MiB.
	MaxMessage int64 `json:"max_message,omitempty"`
	// How long an upstream may take to answer a WebSocket handshake. Default: 10s.
	HandshakeTimeout caddy.Duration `json:"handshake_timeout,omitempty"`
	// How many WebSockets and streams visitors may have from one client address. Default: 1024.
	PerAddress int `json:"per_address,omitempty"`
	// How many WebSockets and streams one account may have. Default: 256.
	PerAccount int `json:"per_account,omitempty"`
	// The configuration of the reverse proxy.
	ReverseProxy *reverseproxy.Handler `json:"reverse_proxy"`

	app      *app.App
	logger   *zap.Logger
	gate     *gateTransport
	quic     *quicSockets
	ctx      caddy.Context
	rules    chatroom.CredentialRules
	paths    chatroom.PathRules
	headers  chatroom.IdentityHeaders
	stripper *chatroom.Stripper

	provisioned bool // ReverseProxy.Provision was called; before that, its Cleanup panics
}

const (
	anonymousReadOnly = "read_only"
	anonymousRefuse   = "refuse"
	anonymousAllow    = "allow"
	anonymousUnmarked = "unmarked"

	preflightsRefuse = "refuse"
	preflightsPass   = "pass"

	badTokenRefuse = "refuse"
	badTokenClose  = "close"

	expirySession = "session"
	expiryToken   = "token"
)

// CaddyModule returns the Caddy module information.
func (Proxy) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.chatgate_proxy", New: func() caddy.Module { return new(Proxy) }}
}

// Provision provisions the reverse proxy and puts the gate into it.
func (p *Proxy) Provision(ctx caddy.Context) error {
	gate, err := app.Of(ctx)
	if err != nil {
		return err
	}
	p.app, p.logger = gate, ctx.Logger()
	p.ctx, p.quic = ctx, new(quicSockets)
	if err := p.check(); err != nil {
		return err
	}
	if p.ReverseProxy == nil {
		return errors.New("chatgate_proxy has no reverse_proxy configuration")
	}
	if len(p.ReverseProxy.Upstreams) == 0 && p.ReverseProxy.DynamicUpstreamsRaw == nil {
		return errors.New("chatgate_proxy needs an upstream: reverse_proxy has neither upstreams nor dynamic_upstreams")
	}
	// Before the reverse proxy is provisioned, which starts its health checks.
	if err := p.provisionTransport(ctx); err != nil {
		return err
	}
	if _, err := refusedOption(p.ReverseProxy, p.gate.http); err != nil {
		return err
	}
	p.provisioned = true
	if err := p.ReverseProxy.Provision(ctx); err != nil {
		return err
	}
	p.ReverseProxy.LoadBalancing.SelectionPolicy = countingPolicy(p.ReverseProxy.LoadBalancing.SelectionPolicy)
	p.app.Guard("chatgate_proxy", UpstreamsOf(p.ReverseProxy)...)
	return nil
}

// Options implements [option.Holder].
func (p *Proxy) Options() option.Table {
	return option.Table{
		option.Word("anonymous", &p.Anonymous, anonymousReadOnly, anonymousRefuse, anonymousAllow, anonymousUnmarked),
		option.Word("preflights", &p.Preflights, preflightsRefuse, preflightsPass),
		option.Word("bad_token", &p.BadToken, badTokenRefuse, badTokenClose),
		option.Word("expiry", &p.Expiry, expirySession, expiryToken),
		origin.Cookie(&p.Cookie),
		origin.Option(&p.Origins),
		option.Text("query", &p.Query).Unbounded("any name will do"),
		tokenOption(&p.TokenFrom),
		pathOption(&p.AllowInPath),
		option.Size("max_message", &p.MaxMessage).Or("unlimited", -1).Default("16MiB").AtLeast("128B").
			Allowing("it is -1, for any size, or at least 128 bytes"),
		option.Duration("handshake_timeout", &p.HandshakeTimeout).Default("10s").Unbounded("an upstream may take any time"),
		option.Count("per_address", &p.PerAddress).Default("1024").Between("1", "1000000"),
		option.Count("per_account", &p.PerAccount).Default("256").Between("1", "1000000"),
		identity.Option(&p.Identity),
		identity.Names("strip", &p.Strip),
		identity.Names("keep", &p.Keep),
	}
}

// check validates the options, fills in the defaults, and makes what requests are judged by.
func (p *Proxy) check() error {
	t := p.Options()
	if err := t.Check(); err != nil {
		return err
	}
	t.Fill()
	p.rules = chatroom.CredentialRules{Cookie: p.Cookie, Query: p.Query, Origins: origin.Of(p.Origins)}
	if err := p.placeRules(&p.rules); err != nil {
		return err
	}
	p.paths = pathRules(p.AllowInPath)
	var err error
	if p.headers, err = identity.Headers(p.Identity); err != nil {
		return err
	}
	p.stripper, err = chatroom.NewStripper(p.headers, chatroom.StripRules{Strip: p.Strip, Keep: p.Keep})
	return err
}

// LeavesWritingToUpstream reports whether visitors may send what they like, and the upstream alone tells them from members.
func (p *Proxy) LeavesWritingToUpstream() bool { return p.Anonymous == anonymousUnmarked }

// Cleanup releases the reverse proxy. Live WebSockets go on, but for those that Caddy will cut.
func (p *Proxy) Cleanup() error {
	if !p.provisioned {
		return nil
	}
	if cutsQUIC(p.ctx) {
		p.quic.end()
	}
	return p.ReverseProxy.Cleanup()
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Proxy)(nil)
	_ caddy.CleanerUpper          = (*Proxy)(nil)
	_ caddyhttp.MiddlewareHandler = (*Proxy)(nil)
	_ option.Holder               = (*Proxy)(nil)
)
