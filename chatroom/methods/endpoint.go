package methods

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/chatroom"
	"github.com/chatgate/chatgate/chatroom/relay"
)

// Options of an [Endpoint]. Every limit must be set; which values make sense is what their options say.
type Options struct {
	RequireInvites bool // also if the policy does not
	MaxMessage     int  // bytes of a request
	MaxReply       int  // bytes of a message from the upstream
	InFlight       int  // requests that are read before the first of them is answered

	Rate         authcore.Rate // requests that we answer
	UpstreamRate authcore.Rate // requests that are passed on

	LoginTimeout time.Duration // how long a connection may stay logged out; negative means any time
	PerAddress   int           // logged-out connections from one client address
	PerAccount   int           // connections of one account

	Upstream         *url.URL // ws or wss; nil means none
	UpstreamTLS      *tls.Config
	HandshakeTimeout time.Duration // for the upstream
	Identity         chatroom.IdentityHeaders

	Counts *relay.Counts // shared by the endpoints of a process; nil means one of its own
	Log    *slog.Logger

	times times
}

// times are how long a connection waits for what.
type times struct {
	write  time.Duration // for the peer to take 64 KiB
	ping   time.Duration // between pings
	silent time.Duration // for a sign of life
	linger time.Duration // for the peer's close frame, after ours
	call   time.Duration // for a method, including its wait for a hash
	hangup time.Duration // for an upstream to take a close frame
}

var defaultTimes = times{
	write: 10 * time.Second, ping: 30 * time.Second, silent: 75 * time.Second, linger: 2 * time.Second,
	call: 15 * time.Second, hangup: time.Second,
}

// maxFailures is how many logins in a row may fail before the connection is closed.
const maxFailures = 5

// Accounts is what the methods need of an [authcore.Service].
type Accounts interface {
	Join(context.Context, authcore.Registration) (authcore.Grant, error)
	Login(context.Context, authcore.Credentials) (authcore.Grant, error)
	Authenticate(context.Context, authcore.UnverifiedToken) (authcore.ProvenSession, error)
	Hold(context.Context, authcore.ProvenSession, authcore.LiveConn, *authcore.Lease, bool) error
	HoldVisitor(authcore.LiveConn, *authcore.Lease) error
	Logout(context.Context, authcore.Actor) (authcore.Receipt, error)
	LogoutAll(ctx context.Context, by authcore.Actor, account authcore.AccountID, except authcore.SessionID) (authcore.Receipt, error)
}

// Endpoint serves connections under one set of options, which each connection keeps for its life. The policy on accounts is
// looked up at each call.
type Endpoint struct{ o Options }

// New checks the upstream, and makes an endpoint.
func New(o Options) (*Endpoint, error) {
	if u := o.Upstream; u != nil && (u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" || u.User != nil || u.Fragment != "") {
		return nil, fmt.Errorf("upstream %q is not a URL like ws://127.0.0.1:9000/chat", u.Redacted())
	}
	o.times = cmp.Or(o.times, defaultTimes)
	o.Counts = cmp.Or(o.Counts, new(relay.Counts))
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	return &Endpoint{o}, nil
}

// Peer is what the handshake tells about a client.
type Peer struct {
	Client authcore.Client
	// Header is what the upstream gets of the client's request: stripped of identity headers, and with X-Forwarded-For.
	// Target is the requested path and query, Host the requested host.
	Header       http.Header
	Target, Host string
	// OnClose is called once, when the connection is gone, and the one to the upstream.
	OnClose func()
}

// Admit takes a place for a connection from an address. It returns false if the address has none left. The connection that
// [Endpoint.Open] makes owns the place; if there is none, [Endpoint.Dismiss] gives it back.
func (e *Endpoint) Admit(addr netip.Addr) bool {
	return e.o.Counts.Take(addressKey(addr), e.limitOf(addr))
}

// Dismiss gives a place back.
func (e *Endpoint) Dismiss(addr netip.Addr) { e.o.Counts.Done(addressKey(addr)) }

// limitOf returns how many connections an address may have. Clients on a Unix socket share one address, so that has no limit.
func (e *Endpoint) limitOf(addr netip.Addr) int {
	if !addr.IsValid() {
		return 0
	}
	return e.o.PerAddress
}

func addressKey(addr netip.Addr) string { return "address " + authcore.AddrKey(addr) }

func accountKey(id authcore.AccountID) string { return "account " + string(id) }
