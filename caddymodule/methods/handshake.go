package methods

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/answer"
	"github.com/chatgate/chatgate/caddymodule/caller"
	"github.com/chatgate/chatgate/caddymodule/endpoint"
	"github.com/chatgate/chatgate/caddymodule/origin"
	"github.com/chatgate/chatgate/caddymodule/redact"
	"github.com/chatgate/chatgate/caddymodule/upgrade"
	"github.com/chatgate/chatgate/chatroom"
	"github.com/chatgate/chatgate/chatroom/methods"
)

// ServeHTTP checks a WebSocket handshake and hands the connection to the endpoint.
func (m *Methods) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	// A path that some server would take for the endpoint is refused rather than passed on: the chat must not get the passwords.
	misspelt := false
	if len(m.Paths) > 0 && !slices.Contains(m.Paths, endpoint.WithoutSlash(r)) {
		if misspelt = m.spelt.Match(endpoint.PathOf(r)) != ""; !misspelt {
			return next.ServeHTTP(w, r)
		}
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if m.origins.Any() && !m.admitPage(w, r) {
		return nil
	}
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
			code = methods.Unavailable // for now
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
		// A stream of HTTP/2 lives only as long as its handler, which a connection here must outlive. Caddy does not offer
		// WebSockets over HTTP/2, so browsers use HTTP/1.1.
		fail(w, http.StatusNotImplemented, methods.BadRequest)
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
	header, ref := m.upstreamHeader(r)
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
		return redact.AnswerError(m.app.HTTPLog(), w, r, redact.OriginalHeader(r), err)
	}
	peer.OnClose = m.app.Hold()
	if err := m.endpoint.Open(accounts{m, service}, conn, early, peer); err != nil {
		m.logger.Debug("a connection ended as it began", zap.Error(err))
	}
	return nil
}

// admitPage judges the page that asks, and reports whether the request goes on. Nothing here uses a cookie, so any page may
// connect unless origins are configured.
func (m *Methods) admitPage(w http.ResponseWriter, r *http.Request) bool {
	page := origin.PageOf(r, m.origins)
	origin.Share(w.Header(), r, page)
	switch {
	case page == chatroom.OtherPage:
		fail(w, http.StatusForbidden, methods.BadRequest)
	case origin.IsPreflight(r):
		origin.AnswerPreflight(w, []string{http.MethodGet})
	default:
		return true
	}
	return false
}

// target returns the client's path and query, without a slash that is not part of the endpoint's path.
func (m *Methods) target(u *url.URL) string {
	if len(m.Paths) > 0 && !slices.Contains(m.Paths, u.Path) {
		u = &url.URL{Path: strings.TrimSuffix(u.Path, "/"), RawQuery: u.RawQuery}
	}
	return u.RequestURI()
}

// upstreamHeader returns the header of the client's request for the upstream: without credentials and identity headers, and with
// X-Forwarded-*.
func (m *Methods) upstreamHeader(r *http.Request) (http.Header, *chatroom.Refusal) {
	trusted := caller.BehindTrustedProxy(r)
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

// fail refuses a handshake, with a code of methods.txt.
func fail(w http.ResponseWriter, status int, code methods.Code) {
	answer.JSON(w, status, struct {
		Err methods.Code `json:"err"`
	}{code})
}
