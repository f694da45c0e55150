package proxy

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/caller"
	"github.com/chatgate/chatgate/chatroom/relay"
)

// WebSockets and streams, by account and by the address of a visitor. They are counted in the whole process, since they outlive
// their configuration.
var members, visitors relay.Counts

// place is one of the connections that an account, or a visitor's address, may have. The zero value is none.
type place struct {
	counts *relay.Counts
	key    string
}

// visitorOf returns the address of the visitor who sent a request, or none if it is a member's.
func visitorOf(r *http.Request, hs *handshake) netip.Addr {
	if hs.id != nil {
		return netip.Addr{}
	}
	return caller.Client(r, "").Addr
}

// takePlace takes a place for whoever sent a request. Kinds: RateLimited.
func (p *Proxy) takePlace(hs *handshake, addr netip.Addr) (place, error) {
	at, limit, msg := place{&visitors, ""}, p.PerAddress, "too many connections without a login from this address"
	if hs.id != nil {
		at, limit, msg = place{&members, string(hs.id.Account)}, p.PerAccount, "the account has too many connections"
	} else if addr.IsValid() {
		at.key = authcore.AddrKey(addr)
	} else { // all clients on a Unix socket share this one
		limit = 0
	}
	if !at.counts.Take(at.key, limit) {
		return place{}, &authcore.Error{Kind: authcore.KindRateLimited, Msg: msg, RetryAfter: 10 * time.Second}
	}
	return at, nil
}

func (p place) taken() bool { return p.counts != nil }

// leave gives the place back, once.
func (p *place) leave() {
	if p.taken() {
		p.counts.Done(p.key)
		*p = place{}
	}
}
