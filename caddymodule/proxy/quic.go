package proxy

import (
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/chatroom/relay"
)

// quicSockets are the WebSockets over HTTP/3 that were opened under one configuration. Where that has a grace_period, Caddy cuts
// its QUIC connections at the end of it, and what runs over them has to be told before. A WebSocket holds this and nothing else of
// its configuration.
type quicSockets struct {
	mu   sync.Mutex
	live map[*relay.Relay]struct{}
	over bool // the configuration is no longer in force
}

// add adds a WebSocket that is about to start.
func (s *quicSockets) add(r *relay.Relay) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		r.End(authcore.EndShutdown)
		return
	}
	if s.live == nil {
		s.live = make(map[*relay.Relay]struct{})
	}
	s.live[r] = struct{}{}
}

// remove forgets one that has ended. A nil s has none.
func (s *quicSockets) remove(r *relay.Relay) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, r)
}

// end tells all of them to connect again, and those that are still to come.
func (s *quicSockets) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for r := range s.live {
		r.End(authcore.EndShutdown)
	}
}

// cutsQUIC reports whether Caddy cuts the QUIC connections of a configuration that is no longer in force.
func cutsQUIC(ctx caddy.Context) bool {
	app, err := ctx.AppIfConfigured("http")
	if err != nil {
		return false
	}
	server, ok := app.(*caddyhttp.App)
	return ok && server.GracePeriod > 0
}
