package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/upgrade"
)

// Server-sent events, long polls and downloads are ordinary requests, but may last as long as a WebSocket. Which of them will is only
// seen as it happens: an answer is an event stream, or a request takes longer than longAfter. It is a live connection from then on.
// Before that it costs a timer.

const (
	longAfter  = 5 * time.Second
	partingFor = 5 * time.Second // for the client to take what it is told at the end
)

// stream is an ordinary request while it is served, and a live connection once it is seen to be long.
type stream struct {
	p       *Proxy
	service *authcore.Service
	hs      *handshake
	addr    netip.Addr // of a visitor
	ctx     context.Context
	out     *http.ResponseController // of the answer
	cancel  context.CancelFunc
	timer   *time.Timer // until it is long

	mu       sync.Mutex
	place    place // that it takes of its account, or of its address
	claimed  bool  // somebody registers it, or has done so
	live     bool
	lease    authcore.Lease
	over     *authcore.Error // why it was ended
	body     io.Closer       // of the upstream's answer, if its transport does not heed the context
	finished bool
}

// newStream begins a request that is no WebSocket. Whoever asks for events is known to want a place before an upstream is dialled.
// The returned request ends with the stream.
func (p *Proxy) newStream(w http.ResponseWriter, r *http.Request, service *authcore.Service, hs *handshake) (*http.Request, error) {
	// While the timer runs, nothing of r may be read but its context: other handlers change it.
	s := &stream{p: p, service: service, hs: hs, addr: visitorOf(r, hs), out: http.NewResponseController(upgrade.Innermost(w))}
	if wantsEvents(r) {
		var err error
		if s.place, err = p.takePlace(hs, s.addr); err != nil {
			return nil, err
		}
	}
	s.ctx, s.cancel = context.WithCancel(context.WithValue(r.Context(), handshakeKey{}, hs))
	hs.stream = s
	s.timer = time.AfterFunc(longAfter, func() {
		if err := s.hold(); err != nil {
			s.end(authcore.AsError(err))
		}
	})
	return r.WithContext(s.ctx), nil
}

// hold makes the request a live connection, unless it is one. Kinds: RateLimited, BadToken, SessionOver, Unavailable.
func (s *stream) hold() error {
	if first, err := s.claim(); err != nil || !first {
		return err
	}
	var err error
	if s.hs.id != nil {
		err = s.service.Hold(s.ctx, s.hs.proven, s, &s.lease, s.p.Expiry == expiryToken)
	} else {
		err = s.service.HoldVisitor(s, &s.lease)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live = !s.finished; !s.live {
		s.lease.Release()
	}
	return nil
}

// claim takes the place of the stream, if it has none, and reports whether the caller is the one to register it.
func (s *stream) claim() (first bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claimed || s.finished {
		return false, nil
	}
	if !s.place.taken() {
		if s.place, err = s.p.takePlace(s.hs, s.addr); err != nil {
			return false, err
		}
	}
	s.claimed = true
	return true, nil
}

// End implements [authcore.LiveConn].
func (s *stream) End(cause authcore.EndCause) { s.end(endOf(cause)) }

// endOf returns what a client is told whose answer has not begun.
func endOf(cause authcore.EndCause) *authcore.Error {
	switch cause {
	case authcore.EndToken:
		return &authcore.Error{Kind: authcore.KindBadToken, Msg: "the token has expired"}
	case authcore.EndShutdown:
		return &authcore.Error{Kind: authcore.KindUnavailable, Msg: "the server is restarting", RetryAfter: time.Second}
	case authcore.EndSession:
	}
	return &authcore.Error{Kind: authcore.KindSessionOver, Msg: "the session is over"}
}

// end ends the request because of err. It does not wait for a client that reads nothing.
func (s *stream) end(err *authcore.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finished || s.over != nil {
		return
	}
	s.over = err
	s.cancel()
	if s.body != nil {
		go s.body.Close()
	}
	_ = s.out.SetWriteDeadline(time.Now().Add(partingFor)) // of this request; net/http removes it before the next one
}

// ended returns why the stream was ended, or nil. A WebSocket has none.
func (s *stream) ended() *authcore.Error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// finish is the end of the request, however it came.
func (s *stream) finish() {
	s.timer.Stop()
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished = true
	s.place.leave()
	if s.live {
		s.lease.Release()
	}
}

// answered looks at the answer of an upstream, and returns an error if it is a stream that may not begin. heeds tells that the
// transport heeds the context of the request for the body, too.
func (s *stream) answered(resp *http.Response, heeds bool) error {
	if !heeds {
		s.mu.Lock()
		s.body = resp.Body
		s.mu.Unlock()
	}
	if !isEvents(resp.Header.Get("Content-Type")) {
		return nil
	}
	if err := s.hold(); err != nil {
		return authcore.AsError(err)
	}
	resp.Body = &eventBody{resp.Body, s}
	return nil
}

// eventBody is an event stream. Where we end it, it ends in order rather than by an error: it may end after any event, and a client
// drops one that is not complete. Other answers are broken off, or a part of them could be taken for the whole.
type eventBody struct {
	io.ReadCloser
	stream *stream
}

// Read implements io.Reader.
func (b *eventBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && b.stream.ended() != nil {
		err = io.EOF
	}
	return n, err
}

const events = "text/event-stream"

func isEvents(contentType string) bool {
	return len(contentType) >= len(events) && strings.EqualFold(contentType[:len(events)], events)
}

// wantsEvents reports whether a request asks for an event stream, as an EventSource does.
func wantsEvents(r *http.Request) bool {
	for _, accepted := range r.Header["Accept"] {
		if strings.Contains(accepted, events) {
			return true
		}
	}
	return false
}

var _ authcore.LiveConn = (*stream)(nil)
