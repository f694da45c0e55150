package proxy

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/answer"
	"github.com/chatgate/chatgate/caddymodule/caller"
	"github.com/chatgate/chatgate/caddymodule/envelope"
	"github.com/chatgate/chatgate/caddymodule/origin"
	"github.com/chatgate/chatgate/caddymodule/redact"
	"github.com/chatgate/chatgate/chatroom"
)

// handshakeKey is the context key of a [handshake].
type handshakeKey struct{}

// handshake is what the handler and the transport, with the reverse proxy between them, tell each other about a request.
type handshake struct {
	id        *authcore.Identity     // nil for a visitor
	proven    authcore.ProvenSession // the session of id
	access    chatroom.Access
	websocket bool

	place  place   // that a WebSocket takes, until the relay has it
	stream *stream // nil for a WebSocket

	answer   chatroom.Answer // of the upstream; has the connection after a 101
	upstream *liveUpstream   // of that connection

	uploaded bool  // an attempt has read from the body, which cannot be read again
	fault    error // why the last attempt failed, if that was not the upstream's fault
}

// ServeHTTP authenticates a request and passes it to an upstream, if it may go there.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	original := redact.OriginalHeader(r) // before anything is removed
	if err := p.serve(w, r, next); err != nil {
		p.share(w, r)
		return redact.AnswerError(p.app.HTTPLog(), w, r, original, err)
	}
	return nil
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	class, ref := p.paths.Classify(r)
	if ref != nil {
		p.refuse(w, r, ref)
		return nil
	}
	service, done, err := p.app.Service(r.Context())
	if err == nil {
		defer done()
	}
	rules, authn := p.rules, caller.NewAuthenticator(r.Context(), service.Authenticate)
	rules.TrustedProxy = caller.BehindTrustedProxy(r)
	if p.Cookie != "" && err == nil {
		rules.Judge = authn.Standing
	}
	query := r.URL.RawQuery
	cred, ref := rules.Take(r, class)
	if ref != nil {
		p.refuse(w, r, ref)
		return nil
	}
	if r.URL.RawQuery != query { // the reverse proxy logs the URI of what it sends
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
		caller.ExpireCookieFor(w, r, p.Cookie)
	}
	if cred.Over {
		return p.acceptAndClose(w, r, cred)
	}
	hs := &handshake{websocket: class.WebSocket}
	if err := p.admit(r, authn, cred, hs); err != nil {
		if hs.websocket && p.BadToken == badTokenClose && authcore.KindOf(err).Class() == authcore.ClassToken {
			return p.acceptAndClose(w, r, cred)
		}
		p.fail(w, r, err)
		return nil
	}
	if ref := p.stripper.Strip(r.Header, rules.TrustedProxy); ref != nil {
		p.refuse(w, r, ref)
		return nil
	}
	r, err = p.begin(w, r, service, hs)
	if err != nil {
		p.fail(w, r, err)
		return nil
	}
	defer hs.drop() // also if a route of handle_response aborts; does nothing once the relay owns the connection
	out := r
	if r.Method == http.MethodConnect { // what follows its head is no body, which request_buffers would wait for
		out = new(*r)
		out.Body, out.ContentLength = http.NoBody, 0
	}
	gw := &gateWriter{ResponseWriter: w, hs: hs}
	err = p.ReverseProxy.ServeHTTP(gw, out, next)
	if over := hs.stream.ended(); over != nil && !gw.begun {
		p.fail(w, r, over)
		return nil
	}
	switch {
	case err == nil && hs.fault != nil:
		return p.answerFault(w, r, hs.fault)
	case err == nil && hs.answer.Conn != nil:
		return p.relay(w, r, service, cred, hs)
	}
	return err
}

// begin takes the place of a WebSocket, or begins a stream, before anything is dialled. It returns the request to pass on; r itself
// with an error.
func (p *Proxy) begin(w http.ResponseWriter, r *http.Request, service *authcore.Service, hs *handshake) (*http.Request, error) {
	if !hs.websocket {
		out, err := p.newStream(w, r, service, hs)
		if err != nil {
			return r, err
		}
		return out, nil
	}
	var err error
	if hs.place, err = p.takePlace(hs, visitorOf(r, hs)); err != nil {
		return r, err
	}
	return r.WithContext(context.WithValue(r.Context(), handshakeKey{}, hs)), nil
}

// admit authenticates the request and decides on its access.
func (p *Proxy) admit(r *http.Request, authn *caller.Authenticator, cred chatroom.Credential, hs *handshake) error {
	if cred.Token != "" {
		proven, err := authn.Authenticate(cred.Token)
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
	case anonymousUnmarked:
		hs.access = chatroom.Unmarked
	case anonymousReadOnly:
		// A visitor may only read. Only the upstream knows what else a request would do, so the method decides.
		if !hs.websocket && r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions {
			return authcore.Errorf(authcore.KindBadToken, "visitors may only look; log in first")
		}
	default:
		if p.Preflights == preflightsPass && origin.IsPreflight(r) {
			break // the upstream answers what its pages may send
		}
		return authcore.Errorf(authcore.KindBadToken, "log in first")
	}
	return nil
}

// withoutQueryToken removes the token from Caddy's copy of the original request, from which FastCGI gets REQUEST_URI.
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

// answerFault answers a request that failed through no fault of an upstream.
func (p *Proxy) answerFault(w http.ResponseWriter, r *http.Request, err error) error {
	p.logger.Debug("a request went no further", zap.Error(err))
	if e, ok := errors.AsType[*authcore.Error](err); ok {
		p.fail(w, r, e)
		return nil
	}
	if ref, ok := errors.AsType[*chatroom.Refusal](err); ok && ref.Status < http.StatusInternalServerError {
		p.refuse(w, r, ref)
		return nil
	} else if ok {
		return caddyhttp.Error(ref.Status, ref)
	}
	return err
}

// refuse answers a request that is malformed or unsafe.
func (p *Proxy) refuse(w http.ResponseWriter, r *http.Request, ref *chatroom.Refusal) {
	p.share(w, r)
	if ref.Status == http.StatusUpgradeRequired {
		w.Header().Set("Sec-WebSocket-Version", "13")
	}
	w.Header().Set("Cache-Control", "no-store")
	code := "BAD_REQUEST"
	if ref.Status == http.StatusTooEarly {
		code = envelope.TooEarly
	}
	envelope.Refuse(w, ref.Status, code, ref.Msg)
}

// fail answers with err in the envelope of rooms.txt, whose contract has the WebSocket.
func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := authcore.AsError(err)
	answer.LogFailure(p.logger, r, e)
	answer.SetRetryAfter(w, e)
	p.share(w, r)
	w.Header().Set("Cache-Control", "no-store")
	envelope.Fail(w, e)
}

// share lets pages of the configured origins read an answer of ours. Whether they may read the upstream's, it says itself.
func (p *Proxy) share(w http.ResponseWriter, r *http.Request) {
	if p.rules.Origins.Any() {
		origin.Share(w.Header(), r, origin.PageOf(r, p.rules.Origins))
	}
}
