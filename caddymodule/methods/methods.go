package methods

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/caddymodule/endpoint"
	"github.com/chatgate/chatgate/caddymodule/identity"
	"github.com/chatgate/chatgate/caddymodule/option"
	"github.com/chatgate/chatgate/caddymodule/origin"
	"github.com/chatgate/chatgate/caddymodule/syntax"
	"github.com/chatgate/chatgate/chatroom"
	"github.com/chatgate/chatgate/chatroom/methods"
	"github.com/chatgate/chatgate/chatroom/relay"
)

func init() {
	caddy.RegisterModule(Methods{})
}

// Methods is the HTTP handler chatgate_methods. It serves JSON requests over a WebSocket, and after a login passes those of other
// methods to a legacy chat with the same protocol.
type Methods struct {
	// The paths of the endpoint. Requests to other paths are passed on. Default: all that are routed here.
	Paths []string `json:"paths,omitempty"`
	// The chat that gets every method other than user_*: ws://host:port[/path], wss://…, or host:port. Without a path, the
	// client's own path is used. Default: none.
	Upstream string `json:"upstream,omitempty"`
	// A PEM file with the certificate authorities for a wss upstream. Default: the system's.
	UpstreamCA string `json:"upstream_ca,omitempty"`
	// The headers that tell the upstream who is asking. "off" as a name omits one.
	Identity *chatroom.IdentityHeaders `json:"identity,omitempty"`
	// Headers to remove from the handshake, besides those that look like an identity. A name that ends in * matches every name
	// that begins so. A full name takes precedence over such a pattern, and then keep over strip.
	Strip []string `json:"strip,omitempty"`
	// Headers that clients may send although they look like an identity, such as X-User-Id. A name that ends in -* matches every
	// name that continues with another word.
	Keep []string `json:"keep,omitempty"`
	// How long the upstream may take to answer its handshake. Default: 10s.
	HandshakeTimeout caddy.Duration `json:"handshake_timeout,omitempty"`
	// How many requests of a connection may go to the upstream. Default: 6000/1m.
	UpstreamRate syntax.Rate `json:"upstream_rate,omitempty"`
	// The maximum size of a message of the upstream, in bytes. Default: 1 MiB.
	MaxReply int `json:"max_reply,omitempty"`

	// Whether registering takes an invite even if the app's registration is open.
	RequireInvites bool `json:"require_invites,omitempty"`
	// Origins whose pages may connect and read the answers, besides the site's own; null and * are those without one and all.
	// Default: any page may connect, since that logs nobody in.
	Origins []string `json:"origins,omitempty"`
	// The maximum size of a request, in bytes. Default: 64 KiB.
	MaxMessage int `json:"max_message,omitempty"`
	// How many requests of a connection chatgate itself may answer. Default: 100/1m.
	Rate syntax.Rate `json:"rate,omitempty"`
	// How many requests of a connection are read ahead of their answers. Default: 16.
	InFlight int `json:"in_flight,omitempty"`
	// How long a connection may stay without a login; -1 is no limit. Default: 1m.
	LoginTimeout caddy.Duration `json:"login_timeout,omitempty"`
	// How many connections without a login one client address may have. Default: 256.
	PerAddress int `json:"per_address,omitempty"`
	// How many connections one account may have. Default: 256.
	PerAccount int `json:"per_account,omitempty"`

	app      gateway
	logger   *zap.Logger
	endpoint *methods.Endpoint
	stripper *chatroom.Stripper
	origins  chatroom.Origins
	spelt    endpoint.Spellings // of Paths
}

// gateway is what connections need from the app.
type gateway interface {
	Service(ctx context.Context) (service *authcore.Service, done func(), err error)
	Hold() (release func())
	HTTPLog() *zap.Logger
	Successors() []caddy.Module
}

// counts are for the whole process, since connections outlive their configuration.
var counts relay.Counts

// CaddyModule returns the Caddy module information.
func (Methods) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.chatgate_methods", New: func() caddy.Module { return new(Methods) }}
}

// Provision finds the app and makes the endpoint. The upstream is dialled at the first login.
func (m *Methods) Provision(ctx caddy.Context) error {
	gate, err := app.Of(ctx)
	if err != nil {
		return err
	}
	m.app, m.logger = gate, ctx.Logger()
	if _, err := m.needUpstream(); err != nil {
		return err
	}
	o, err := m.resolve(caddy.NewReplacer())
	if err != nil {
		return err
	}
	o.Counts, o.Log = &counts, slog.New(app.ProcessLog{})
	if m.UpstreamCA != "" {
		file, err := caddy.NewReplacer().ReplaceOrErr(m.UpstreamCA, true, true)
		if err != nil {
			return fmt.Errorf("upstream_ca: %w", err)
		}
		if o.UpstreamTLS, err = trusting(file); err != nil {
			return err
		}
	}
	for _, path := range m.Paths {
		m.spelt.Add(path)
	}
	m.origins = origin.Of(m.Origins)
	if m.stripper, err = m.newStripper(o.Identity); err != nil {
		return err
	}
	if o.Upstream != nil {
		gate.Guard("chatgate_methods", o.Upstream.Scheme+"://"+o.Upstream.Host)
	}
	if m.endpoint, err = methods.New(o); err != nil {
		return err
	}
	gate.Enlist(m)
	return nil
}

// Options implements [option.Holder].
func (m *Methods) Options() option.Table {
	return option.Table{
		option.OnOff("require_invites", &m.RequireInvites),
		origin.Option(&m.Origins),
		option.Size("max_message", &m.MaxMessage).Default("64KiB").Between("1KiB", "16MiB"),
		option.Rate("rate", &m.Rate).Default("100/1m"),
		option.Count("in_flight", &m.InFlight).Default("16").Between("1", "1024"),
		option.Duration("login_timeout", &m.LoginTimeout).Or("off", -1).Default("1m").AtLeast("1s").Allowing("it must be at least 1s, or off"),
		option.Count("per_address", &m.PerAddress).Default("256").AtLeast("1"),
		option.Count("per_account", &m.PerAccount).Default("256").AtLeast("1"),
		option.Text("upstream", &m.Upstream).Unbounded("upstreamURL and methods.New check it, once placeholders have values"),
		option.Text("upstream_ca", &m.UpstreamCA).Unbounded("Provision reads the file"),
		option.Rate("upstream_rate", &m.UpstreamRate).Default("6000/1m"),
		option.Size("max_reply", &m.MaxReply).Default("1MiB").Between("1KiB", "64MiB"),
		option.Duration("handshake_timeout", &m.HandshakeTimeout).Default("10s").Unbounded("any time makes sense"),
		identity.Option(&m.Identity),
		identity.Names("strip", &m.Strip),
		identity.Names("keep", &m.Keep),
	}
}

// resolve checks the options, fills in the defaults, and returns what an endpoint is made of, but for what has to be read
// from a file.
func (m *Methods) resolve(repl *caddy.Replacer) (methods.Options, error) {
	t := m.Options()
	if err := t.Check(); err != nil {
		return methods.Options{}, err
	}
	t.Fill()
	o := methods.Options{
		RequireInvites: m.RequireInvites, MaxMessage: m.MaxMessage, MaxReply: m.MaxReply, InFlight: m.InFlight,
		LoginTimeout: time.Duration(m.LoginTimeout), HandshakeTimeout: time.Duration(m.HandshakeTimeout),
		PerAddress: m.PerAddress, PerAccount: m.PerAccount,
	}
	for _, path := range m.Paths {
		if !endpoint.LiteralPath(path) {
			return o, fmt.Errorf("path %q is not a path like %s", path, defaultPath)
		}
	}
	var err error
	if o.Upstream, err = m.upstreamURL(repl); err != nil {
		return o, err
	}
	if o.Identity, err = identity.Headers(m.Identity); err != nil {
		return o, err
	}
	if o.Rate, err = m.Rate.Rate("rate", authcore.Rate{}); err != nil {
		return o, err
	}
	if o.UpstreamRate, err = m.UpstreamRate.Rate("upstream_rate", authcore.Rate{}); err != nil {
		return o, err
	}
	_, err = methods.New(o)
	return o, err
}

func (m *Methods) newStripper(h chatroom.IdentityHeaders) (*chatroom.Stripper, error) {
	return chatroom.NewStripper(h, chatroom.StripRules{Strip: m.Strip, Keep: m.Keep})
}

// needUpstream returns an option that only matters with an upstream, or with one that is reached over TLS, and what to say. It
// is called before defaults are filled in.
func (m *Methods) needUpstream() (name string, err error) {
	if m.Upstream == "" {
		name = m.Options().Set("upstream_ca", "identity", "strip", "keep", "handshake_timeout", "upstream_rate", "max_reply")
	}
	if name != "" {
		return name, fmt.Errorf("%s only matters with an upstream; name one with the upstream option", name)
	}
	if m.UpstreamCA != "" && !syntax.HasPlaceholder(m.Upstream) && !strings.HasPrefix(m.Upstream, "wss:") && !strings.HasPrefix(m.Upstream, "https:") {
		return "upstream_ca", errors.New("upstream_ca is for a wss upstream")
	}
	return "", nil
}

// upstreamURL returns what is to be dialled, or nil.
func (m *Methods) upstreamURL(repl *caddy.Replacer) (*url.URL, error) {
	if m.Upstream == "" {
		return nil, nil
	}
	text, err := repl.ReplaceOrErr(m.Upstream, true, true)
	if err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	if !strings.Contains(text, "://") {
		if host, port, err := net.SplitHostPort(text); err != nil || host == "" || port == "" {
			return nil, fmt.Errorf("upstream %q is neither host:port nor a URL like ws://127.0.0.1:9000/chat", text)
		}
		text = "ws://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("upstream is not a URL like ws://127.0.0.1:9000/chat") // what is wrong may be a password
	}
	switch u.Scheme {
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	}
	return u, nil
}

// trusting returns a TLS configuration that trusts the certificates in a PEM file.
func trusting(file string) (*tls.Config, error) {
	pem, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("upstream_ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("upstream_ca: %s has no certificate", file)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Methods)(nil)
	_ caddyhttp.MiddlewareHandler = (*Methods)(nil)
	_ option.Holder               = (*Methods)(nil)
)
