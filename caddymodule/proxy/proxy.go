package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"
	"golang.org/x/net/http/httpguts"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/accounts/rooms"
	"github.com/chatgate/chatgate/caddymodule/answer"
	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/caddymodule/caller"
	"github.com/chatgate/chatgate/caddymodule/identity"
	"github.com/chatgate/chatgate/caddymodule/redact"
	"github.com/chatgate/chatgate/chatroom"
)

func init() {
	caddy.RegisterModule(Proxy{})
}

// Proxy is the HTTP handler chatgate_proxy: the gate in front of a chat. It proves who is asking, tells the upstream,
// and carries WebSockets itself, so that they end when the session does and live on when the configuration changes.
// Everything about upstreams, load balancing, health checks, retries, headers and TLS is reverse_proxy's own.
type Proxy struct {
	// What a visitor without a token may do: "read_only" (the default), "refuse", or "allow".
	Anonymous string `json:"anonymous,omitempty"`
	// How a bad token is refused at a WebSocket: "refuse" (401, the default), or "close": the handshake succeeds and
	// close frame 4401 follows, since a browser cannot see a handshake's status.
	BadToken string `json:"bad_token,omitempty"`
	// How long a WebSocket lives: as long as its "session" (the default), or no longer than its "token".
	Expiry string `json:"expiry,omitempty"`
	// The name of a cookie that may hold the token. Default: none.
	Cookie string `json:"cookie,omitempty"`
	// Origins that may use the cookie, beside the request's own.
	Origins []string `json:"origins,omitempty"`
	// The name of a query parameter that may hold the token. Default: none, since URLs end up in logs.
	Query string `json:"query,omitempty"`
	// The headers that tell the upstream who is asking. A field that is "off" is not told.
	Identity *chatroom.IdentityHeaders `json:"identity,omitempty"`
	// Headers that are removed from every request, beside those that could be taken for an identity. A name that ends in *
	// is a family: every name that begins so. A name counts before a family, and then keep before strip.
	Strip []string `json:"strip,omitempty"`
	// Headers that clients may send although they could be taken for an identity, such as X-User-Id. One that ends in -* is
	// every name that goes on with another word there.
	Keep []string `json:"keep,omitempty"`
	// The largest message of a WebSocket, in bytes; -1 means any. Default: 16 MiB.
	MaxMessage int64 `json:"max_message,omitempty"`
	// How long an upstream may take to answer a WebSocket handshake. Default: 10s.
	HandshakeTimeout caddy.Duration `json:"handshake_timeout,omitempty"`
	// The configuration of the reverse proxy.
	ReverseProxy *reverseproxy.Handler `json:"reverse_proxy"`

	app      *app.App
	logger   *zap.Logger
	rules    chatroom.CredentialRules
	headers  chatroom.IdentityHeaders
	stripper *chatroom.Stripper

	provisioned bool // the reverse proxy was, or has tried; before that it cannot be cleaned up
}

const (
	anonymousReadOnly = "read_only"
	anonymousRefuse   = "refuse"
	anonymousAllow    = "allow"

	badTokenRefuse = "refuse"
	badTokenClose  = "close"

	expirySession = "session"
	expiryToken   = "token"

	defaultMaxMessage = 16 << 20
)

// CaddyModule returns the Caddy module information.
func (Proxy) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.chatgate_proxy", New: func() caddy.Module { return new(Proxy) }}
}

// Provision provisions the reverse proxy and puts the gate into it.
func (p *Proxy) Provision(ctx caddy.Context) error {
	gate, err := ctx.App("chatgate")
	if err != nil {
		return fmt.Errorf("getting the chatgate app: %w", err)
	}
	p.app, p.logger = gate.(*app.App), ctx.Logger()
	if err := p.check(); err != nil {
		return err
	}
	if p.ReverseProxy == nil {
		return errors.New("chatgate_proxy has no reverse_proxy configuration")
	}
	if len(p.ReverseProxy.Upstreams) == 0 && p.ReverseProxy.DynamicUpstreamsRaw == nil {
		return errors.New("chatgate_proxy needs an upstream: reverse_proxy has neither upstreams nor dynamic_upstreams")
	}
	// In place before the reverse proxy is provisioned: its health checks begin there.
	if err := p.provisionTransport(ctx); err != nil {
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

// check validates the fields and fills in defaults.
func (p *Proxy) check() error {
	word := func(field *string, option string, known ...string) error {
		if *field == "" {
			*field = known[0]
		}
		for _, k := range known {
			if *field == k {
				return nil
			}
		}
		return fmt.Errorf("%s is %q; it is one of %q", option, *field, known)
	}
	if err := errors.Join(
		word(&p.Anonymous, "anonymous", anonymousReadOnly, anonymousRefuse, anonymousAllow),
		word(&p.BadToken, "bad_token", badTokenRefuse, badTokenClose),
		word(&p.Expiry, "expiry", expirySession, expiryToken),
	); err != nil {
		return err
	}
	if p.Cookie != "" && !httpguts.ValidHeaderFieldName(p.Cookie) {
		return fmt.Errorf("cookie %q is not a valid cookie name; use letters, digits and -_", p.Cookie)
	}
	if len(p.Origins) > 0 && p.Cookie == "" {
		return errors.New("origins only matters with a cookie; name one with the cookie option")
	}
	p.rules = chatroom.CredentialRules{Cookie: p.Cookie, Query: p.Query}
	for _, o := range p.Origins {
		canonical, ok := chatroom.ParseOrigin(o)
		if !ok {
			return fmt.Errorf("origin %q is not of the form https://chat.example.com[:port]", o)
		}
		p.rules.Origins = append(p.rules.Origins, canonical)
	}
	if p.MaxMessage == 0 {
		p.MaxMessage = defaultMaxMessage
	}
	if p.MaxMessage < -1 || p.MaxMessage > -1 && p.MaxMessage < 128 {
		return fmt.Errorf("max_message is %d; it is -1, for any size, or at least 128 bytes", p.MaxMessage)
	}
	if p.HandshakeTimeout < 0 {
		return fmt.Errorf("handshake_timeout is %s; it must be positive", time.Duration(p.HandshakeTimeout))
	}
	if p.HandshakeTimeout == 0 {
		p.HandshakeTimeout = caddy.Duration(10 * time.Second)
	}
	var err error
	if p.headers, err = identity.Headers(p.Identity); err != nil {
		return err
	}
	p.stripper, err = chatroom.NewStripper(p.headers, chatroom.StripRules{Strip: p.Strip, Keep: p.Keep})
	return err
}

// handshakeKey is the context key of a [handshake].
type handshakeKey struct{}

// handshake is what a request and the transport below the reverse proxy have to tell each other.
type handshake struct {
	id        *authcore.Identity     // nil for a visitor
	proven    authcore.ProvenSession // its session
	access    chatroom.Access
	websocket bool

	answer   chatroom.Answer // the upstream's, once there is a connection
	upstream *liveUpstream   // that it is connected to

	uploaded bool  // an attempt has read of the body, which cannot be read again
	fault    error // why the last attempt came to nothing, where that was not the upstream's doing
}

// ServeHTTP judges a request and, if it may, takes it to an upstream.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	sent := redact.HeadersAsSent(r) // before anything is taken
	if err := p.serve(w, r, next); err != nil {
		return redact.AnswerError(p.app.HTTPLog(), w, r, sent, err)
	}
	return nil
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	class, ref := chatroom.Classify(r)
	if ref != nil {
		p.refuse(w, ref)
		return nil
	}
	service, done, err := p.app.Service(r.Context())
	if err == nil {
		defer done()
	}
	rules, asked := p.rules, caller.NewAsker(r.Context(), service)
	if p.Cookie != "" && err == nil {
		rules.Judge = asked.Judge
	}
	query := r.URL.RawQuery
	cred, ref := rules.Take(r, class)
	if ref != nil {
		p.refuse(w, ref)
		return nil
	}
	if r.URL.RawQuery != query { // the reverse proxy logs what it sends, by this
		r.RequestURI, _, _ = strings.Cut(r.RequestURI, "?")
		if r.URL.RawQuery != "" {
			r.RequestURI += "?" + r.URL.RawQuery
		}
		r = p.withoutQueryToken(r)
	}
	if err != nil {
		p.fail(w, r, &authcore.Error{Kind: authcore.KindUnavailable, Msg: "service temporarily unavailable", Err: err, RetryAfter: 5 * time.Second})
		return nil
	}
	if cred.Stale {
		caller.TakeAwayFrom(w, r, p.Cookie)
	}
	if cred.Over {
		return p.acceptAndClose(w, r, cred)
	}
	hs := &handshake{websocket: class.WebSocket}
	if err := p.admit(r, asked, cred, hs); err != nil {
		if hs.websocket && p.BadToken == badTokenClose && authcore.KindOf(err).Class() == authcore.ClassToken {
			return p.acceptAndClose(w, r, cred)
		}
		p.fail(w, r, err)
		return nil
	}
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	if ref := p.stripper.Strip(r.Header, trusted); ref != nil {
		p.refuse(w, ref)
		return nil
	}
	r = r.WithContext(context.WithValue(r.Context(), handshakeKey{}, hs))
	defer hs.drop() // unless the relay has it; also where a route of handle_response aborts
	err = p.ReverseProxy.ServeHTTP(&gateWriter{w, hs}, r, next)
	switch {
	case err == nil && hs.fault != nil:
		return p.answerFault(w, hs.fault)
	case err == nil && hs.answer.Conn != nil:
		return p.relay(w, r, service, cred, hs)
	}
	return err
}

// withoutQueryToken takes the token out of what is kept of the request as it came, which FastCGI's REQUEST_URI is made of.
func (p *Proxy) withoutQueryToken(r *http.Request) *http.Request {
	orig, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok {
		return r
	}
	u := *orig.URL
	p.rules.StripQuery(&u)
	orig.URL, orig.RequestURI = &u, u.RequestURI()
	return r.WithContext(context.WithValue(r.Context(), caddyhttp.OriginalRequestCtxKey, orig))
}

// answerFault answers what came to nothing through no fault of an upstream.
func (p *Proxy) answerFault(w http.ResponseWriter, err error) error {
	p.logger.Debug("a request went no further", zap.Error(err))
	if ref, ok := errors.AsType[*chatroom.Refusal](err); ok && ref.Status < http.StatusInternalServerError {
		p.refuse(w, ref)
		return nil
	} else if ok {
		return caddyhttp.Error(ref.Status, ref)
	}
	return err
}

// admit finds out who is asking and whether they may.
func (p *Proxy) admit(r *http.Request, asked *caller.Asker, cred chatroom.Credential, hs *handshake) error {
	if cred.Token != "" {
		proven, err := asked.Authenticate(cred.Token)
		if err != nil {
			return err
		}
		caller.SetUser(r, proven.Identity)
		hs.proven, hs.id, hs.access = proven, &proven.Identity, chatroom.ReadWrite
		return nil
	}
	switch p.Anonymous {
	case anonymousAllow:
		hs.access = chatroom.ReadWrite
	case anonymousReadOnly:
		// A visitor may look. Whether a request that changes something would, only the upstream knows.
		if !hs.websocket && r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions {
			return authcore.Errorf(authcore.KindBadToken, "visitors may only look; log in first")
		}
	default:
		return authcore.Errorf(authcore.KindBadToken, "log in first")
	}
	return nil
}

// refuse answers what is no clean request at all.
func (p *Proxy) refuse(w http.ResponseWriter, ref *chatroom.Refusal) {
	if ref.Status == http.StatusUpgradeRequired {
		w.Header().Set("Sec-WebSocket-Version", "13")
	}
	w.Header().Set("Cache-Control", "no-store")
	code := "BAD_REQUEST"
	if ref.Status == http.StatusTooEarly {
		code = rooms.TooEarly
	}
	rooms.Refuse(w, ref.Status, code, ref.Msg)
}

// fail answers in the envelope of rooms.txt, whose sockets these are.
func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := authcore.AsError(err)
	answer.LogFailure(p.logger, r, e)
	answer.SetRetryAfter(w, e)
	w.Header().Set("Cache-Control", "no-store")
	rooms.Fail(w, e)
}

// Cleanup lets go of the upstreams; live WebSockets are not theirs.
func (p *Proxy) Cleanup() error {
	if !p.provisioned {
		return nil
	}
	return p.ReverseProxy.Cleanup()
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Proxy)(nil)
	_ caddy.CleanerUpper          = (*Proxy)(nil)
	_ caddyhttp.MiddlewareHandler = (*Proxy)(nil)
)
