package methods

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/answer"
	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/caddymodule/caller"
	"github.com/chatgate/chatgate/caddymodule/endpoint"
	"github.com/chatgate/chatgate/caddymodule/identity"
	"github.com/chatgate/chatgate/caddymodule/redact"
	"github.com/chatgate/chatgate/caddymodule/syntax"
	"github.com/chatgate/chatgate/caddymodule/upgrade"
	"github.com/chatgate/chatgate/chatroom"
	"github.com/chatgate/chatgate/chatroom/methods"
	"github.com/chatgate/chatgate/chatroom/relay"
)

func init() {
	caddy.RegisterModule(Methods{})
}

// Methods is the HTTP handler chatgate_methods: JSON requests over one WebSocket, and behind it, once somebody is logged
// in, a legacy chat that speaks the same.
type Methods struct {
	// Where the endpoint is; requests to other paths are passed on. Default: every request that is routed here is its own.
	Paths []string `json:"paths,omitempty"`
	// The chat that every method goes to that is not user_*: ws://host:port[/path], wss://…, or host:port. Without a
	// path it is asked for the one that the client asked for. Default: none.
	Upstream string `json:"upstream,omitempty"`
	// A PEM file with the authorities that a wss upstream's certificate may be from. Default: the system's.
	UpstreamCA string `json:"upstream_ca,omitempty"`
	// The headers that tell the upstream who is asking. A field that is "off" is not told.
	Identity *chatroom.IdentityHeaders `json:"identity,omitempty"`
	// Headers that the upstream is not sent, beside those that could be taken for an identity. A name that ends in * is a
	// family: every name that begins so. A name counts before a family, and then keep before strip.
	Strip []string `json:"strip,omitempty"`
	// Headers that clients may send although they could be taken for an identity, such as X-User-Id. One that ends in -* is
	// every name that goes on with another word there.
	Keep []string `json:"keep,omitempty"`
	// How long the upstream may take to answer its handshake. Default: 10s.
	HandshakeTimeout caddy.Duration `json:"handshake_timeout,omitempty"`
	// How many requests a connection may pass on. Default: 6000/1m.
	UpstreamRate syntax.Rate `json:"upstream_rate,omitempty"`
	// The largest message of the upstream, in bytes. Default: 1 MiB.
	MaxReply int `json:"max_reply,omitempty"`

	// Whether registering takes an invite, whatever the app's registration says.
	RequireInvites bool `json:"require_invites,omitempty"`
	// Origins whose pages may connect, beside the request's own. Default: all, since nobody is logged in by connecting.
	Origins []string `json:"origins,omitempty"`
	// The largest request, in bytes. Default: 64 KiB.
	MaxMessage int `json:"max_message,omitempty"`
	// How many requests a connection may make that chatgate answers itself. Default: 100/1m.
	Rate syntax.Rate `json:"rate,omitempty"`
	// How many requests of a connection are read before the first of them is answered. Default: 16.
	InFlight int `json:"in_flight,omitempty"`
	// How long a connection may stay without a login; -1 means for ever. Default: 1m.
	LoginTimeout caddy.Duration `json:"login_timeout,omitempty"`
	// How many connections without a login one client address may have. Default: 256.
	PerAddress int `json:"per_address,omitempty"`
	// How many connections one account may have. Default: 256.
	PerAccount int `json:"per_account,omitempty"`

	app      gateway
	logger   *zap.Logger
	endpoint *methods.Endpoint
	stripper *chatroom.Stripper
	spelt    endpoint.Spellings // of Paths
}

// gateway is what connections need of the app.
type gateway interface {
	Service(ctx context.Context) (service *authcore.Service, done func(), err error)
	Hold() (release func())
	HTTPLog() *zap.Logger
	Successors() []caddy.Module
}

// counts are of the process: connections outlive the configuration that they were made under.
var counts relay.Counts

// CaddyModule returns the Caddy module information.
func (Methods) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.chatgate_methods", New: func() caddy.Module { return new(Methods) }}
}

// Provision finds the app and makes the endpoint. Nothing is dialled before somebody logs in.
func (m *Methods) Provision(ctx caddy.Context) error {
	chatgate, err := ctx.App("chatgate")
	if err != nil {
		return fmt.Errorf("getting the chatgate app: %w", err)
	}
	gate := chatgate.(*app.App)
	m.app, m.logger = gate, ctx.Logger()
	if _, err := m.needUpstream(); err != nil {
		return err
	}
	o, err := m.options(caddy.NewReplacer())
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

// options checks the fields, but for what has to be read from a file.
func (m *Methods) options(repl *caddy.Replacer) (methods.Options, error) {
	o := methods.Options{
		RequireInvites: m.RequireInvites, MaxMessage: m.MaxMessage, MaxReply: m.MaxReply, InFlight: m.InFlight,
		LoginTimeout: time.Duration(m.LoginTimeout), HandshakeTimeout: time.Duration(m.HandshakeTimeout),
		PerAddress: m.PerAddress, PerAccount: m.PerAccount,
	}
	var err error
	for _, path := range m.Paths {
		if !endpoint.LiteralPath(path) {
			return o, fmt.Errorf("path %q is not a path like %s", path, defaultPath)
		}
	}
	if o.Upstream, err = m.upstreamURL(repl); err != nil {
		return o, err
	}
	if o.Identity, err = identity.Headers(m.Identity); err != nil {
		return o, err
	}
	for _, origin := range m.Origins {
		canonical, ok := chatroom.ParseOrigin(origin)
		if !ok {
			return o, fmt.Errorf("origin %q is not of the form https://chat.example.com[:port]", origin)
		}
		o.Origins = append(o.Origins, canonical)
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

// needUpstream returns an option that only matters with an upstream, or with one that is reached over TLS, and what to say.
func (m *Methods) needUpstream() (option string, err error) {
	for _, set := range []struct {
		option string
		is     bool
	}{
		{"upstream_ca", m.UpstreamCA != ""},
		{"identity", m.Identity != nil},
		{"strip", len(m.Strip) > 0},
		{"keep", len(m.Keep) > 0},
		{"handshake_timeout", m.HandshakeTimeout != 0},
		{"upstream_rate", m.UpstreamRate != ""},
		{"max_reply", m.MaxReply != 0},
	} {
		if set.is && m.Upstream == "" {
			return set.option, fmt.Errorf("%s only matters with an upstream; name one with the upstream option", set.option)
		}
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

func trusting(file string) (*tls.Config, error) {
	pem, err := os.ReadFile(file) //nolint:gosec // the operator says which
	if err != nil {
		return nil, fmt.Errorf("upstream_ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("upstream_ca: %s has no certificate", file)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, nil
}

// ServeHTTP judges a handshake and, if it is one, hands the connection to the endpoint.
func (m *Methods) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	// What some server would take for the endpoint is not the chat's either: there will be passwords on that connection.
	misspelt := false
	if len(m.Paths) > 0 && !slices.Contains(m.Paths, endpoint.WithoutSlash(r)) {
		if misspelt = m.spelt.Meant(endpoint.PathOf(r)) != ""; !misspelt {
			return next.ServeHTTP(w, r)
		}
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if misspelt {
		fail(w, http.StatusNotFound, methods.BadRequest)
		return nil
	}
	class, ref := chatroom.Classify(r)
	switch {
	case ref != nil:
		if ref.Status == http.StatusUpgradeRequired {
			h.Set("Sec-WebSocket-Version", "13")
		}
		code := methods.BadRequest
		if ref.Status == http.StatusTooEarly {
			code = methods.Unavailable // as yet
		}
		fail(w, ref.Status, code)
		return nil
	case !class.WebSocket:
		if r.ProtoMajor == 1 {
			h.Set("Connection", "Upgrade")
			h.Set("Upgrade", "websocket")
		}
		fail(w, http.StatusUpgradeRequired, methods.BadRequest)
		return nil
	case r.Method == http.MethodConnect:
		// A stream lives only as long as its handler, while a connection here outlives it. Browsers use HTTP/1.1 where
		// a server has not offered this, and Caddy does not.
		fail(w, http.StatusNotImplemented, methods.BadRequest)
		return nil
	case !m.endpoint.MayConnect(r):
		fail(w, http.StatusForbidden, methods.BadRequest)
		return nil
	}
	service, done, err := m.app.Service(r.Context())
	if err != nil {
		e := &authcore.Error{Kind: authcore.KindUnavailable, Err: err, RetryAfter: 5 * time.Second}
		answer.LogFailure(m.logger, r, e)
		answer.SetRetryAfter(w, e)
		fail(w, http.StatusServiceUnavailable, methods.Unavailable)
		return nil
	}
	defer done()
	client := caller.Client(r, "methods")
	if !m.endpoint.Admit(client.Addr) {
		answer.SetRetryAfter(w, &authcore.Error{Kind: authcore.KindRateLimited, RetryAfter: 10 * time.Second})
		fail(w, http.StatusTooManyRequests, methods.RateLimited)
		return nil
	}
	header, ref := m.forUpstream(r)
	if ref != nil {
		m.endpoint.Dismiss(client.Addr)
		fail(w, ref.Status, methods.BadRequest)
		return nil
	}
	peer := methods.Peer{Client: client, Header: header, Target: m.target(r.URL), Host: r.Host}
	upgrade.PrepareAnswer(h, r, chatroom.Credential{}, nil)
	conn, early, err := upgrade.Hijack(w)
	if err != nil {
		m.endpoint.Dismiss(client.Addr)
		return redact.AnswerError(m.app.HTTPLog(), w, r, redact.HeadersAsSent(r), err)
	}
	peer.OnClose = m.app.Hold()
	if err := m.endpoint.Open(accounts{m, service}, conn, early, peer); err != nil {
		m.logger.Debug("a connection ended as it began", zap.Error(err))
	}
	return nil
}

// target returns what the client asked for, without a slash that is not part of the endpoint's path.
func (m *Methods) target(u *url.URL) string {
	if len(m.Paths) > 0 && !slices.Contains(m.Paths, u.Path) {
		u = &url.URL{Path: strings.TrimSuffix(u.Path, "/"), RawQuery: u.RawQuery}
	}
	return u.RequestURI()
}

// forUpstream returns what an upstream is told of the client's request: no credentials, no claims, and where it is from.
func (m *Methods) forUpstream(r *http.Request) (http.Header, *chatroom.Refusal) {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	h := r.Header.Clone()
	if ref := m.stripper.Strip(h, trusted); ref != nil {
		return nil, ref
	}
	for _, name := range []string{"Authorization", "Cookie"} {
		h.Del(name)
	}
	from, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		from = r.RemoteAddr
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	if before := h["X-Forwarded-For"]; trusted && len(before) > 0 {
		from = strings.Join(before, ", ") + ", " + from
	}
	for name, value := range map[string]string{"X-Forwarded-For": from, "X-Forwarded-Proto": scheme, "X-Forwarded-Host": r.Host} {
		if name == "X-Forwarded-For" || !trusted || h.Get(name) == "" {
			h[name] = []string{value}
		}
	}
	return h, nil
}

// fail answers what never became a connection, in the manner of methods.txt.
func fail(w http.ResponseWriter, status int, code methods.Code) {
	answer.JSON(w, status, struct {
		Err methods.Code `json:"err"`
	}{code})
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Methods)(nil)
	_ caddyhttp.MiddlewareHandler = (*Methods)(nil)
)
