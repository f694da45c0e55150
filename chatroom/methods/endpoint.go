package methods

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/chatroom"
	"github.com/chatgate/chatgate/chatroom/relay"
)

// Options of an [Endpoint]. A zero limit is the default.
type Options struct {
	RequireInvites bool     // whatever the policy says
	Origins        []string // canonical; pages of others are refused. Empty: any may connect
	MaxMessage     int      // bytes of a request; default 64 KiB
	MaxReply       int      // bytes of a message of the upstream; default 1 MiB
	InFlight       int      // requests that are read before the first of them is answered; default 16

	Rate         authcore.Rate // requests that the gate answers itself; default 100 a minute
	UpstreamRate authcore.Rate // requests that are passed on; default 6,000 a minute

	LoginTimeout time.Duration // that a connection may be nobody's; default 1 minute; negative: for ever
	PerAddress   int           // connections of nobody's that one client address may have; default 256
	PerAccount   int           // connections that one account may have; default 256

	Upstream         *url.URL // ws or wss; nil: there is none
	UpstreamTLS      *tls.Config
	HandshakeTimeout time.Duration // of the upstream; default 10 s
	Identity         chatroom.IdentityHeaders

	Counts *relay.Counts // shared by the endpoints of a process; nil: one of its own
	Log    *slog.Logger

	times times
}

// times are how long a connection waits for what.
type times struct {
	write  time.Duration // for the peer to take 64 KiB
	ping   time.Duration // between pings
	silent time.Duration // without a sign of life
	linger time.Duration // for the peer's close frame, after ours
	call   time.Duration // for a call of a method, its wait for a hash included
	hangup time.Duration // for an upstream to take a close frame
}

var defaultTimes = times{
	write: 10 * time.Second, ping: 30 * time.Second, silent: 75 * time.Second, linger: 2 * time.Second,
	call: 15 * time.Second, hangup: time.Second,
}

// maxFailures is how many logins in a row may fail before the connection is closed.
const maxFailures = 5

// Accounts is what the methods ask for; an [authcore.Service] has it.
type Accounts interface {
	Join(context.Context, authcore.Registration) (authcore.Grant, error)
	Login(context.Context, authcore.Credentials) (authcore.Grant, error)
	Authenticate(context.Context, authcore.UnverifiedToken) (authcore.ProvenSession, error)
	Hold(context.Context, authcore.ProvenSession, authcore.LiveConn, *authcore.Lease, bool) error
	HoldVisitor(authcore.LiveConn, *authcore.Lease) error
	Logout(context.Context, authcore.Identity) (authcore.Receipt, error)
	LogoutAll(ctx context.Context, account authcore.AccountID, except authcore.SessionID) (authcore.Receipt, error)
}

// Endpoint serves connections under one set of limits, which each keeps for its life. What an operator decides about
// accounts is asked for at each call.
type Endpoint struct{ o Options }

// New checks the options.
func New(o Options) (*Endpoint, error) {
	orElse(&o.MaxMessage, 64<<10)
	orElse(&o.MaxReply, 1<<20)
	orElse(&o.InFlight, 16)
	orElse(&o.Rate, authcore.Rate{Burst: 100, Per: time.Minute})
	orElse(&o.UpstreamRate, authcore.Rate{Burst: 6000, Per: time.Minute})
	orElse(&o.LoginTimeout, time.Minute)
	orElse(&o.PerAddress, 256)
	orElse(&o.PerAccount, 256)
	orElse(&o.HandshakeTimeout, 10*time.Second)
	orElse(&o.times, defaultTimes)
	if o.Counts == nil {
		o.Counts = new(relay.Counts)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	switch u := o.Upstream; {
	case u != nil && (u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" || u.User != nil || u.Fragment != ""):
		return nil, fmt.Errorf("upstream %q is not a URL like ws://127.0.0.1:9000/chat", u.Redacted())
	case o.MaxMessage < 1024 || o.MaxMessage > 16<<20:
		return nil, errors.New("max_message is between 1 KiB and 16 MiB")
	case o.MaxReply < 1024 || o.MaxReply > 64<<20:
		return nil, errors.New("max_reply is between 1 KiB and 64 MiB")
	case o.InFlight < 1 || o.InFlight > 1024:
		return nil, errors.New("in_flight is between 1 and 1024")
	case o.PerAddress < 1 || o.PerAccount < 1:
		return nil, errors.New("per_address and per_account are at least 1")
	case o.LoginTimeout > 0 && o.LoginTimeout < time.Second:
		return nil, errors.New("login_timeout is at least 1s, or off")
	case o.HandshakeTimeout < 0:
		return nil, errors.New("handshake_timeout is positive")
	}
	for _, r := range []authcore.Rate{o.Rate, o.UpstreamRate} {
		if r.Burst < 1 || r.Per <= 0 || r.Per/time.Duration(r.Burst) <= 0 {
			return nil, fmt.Errorf("rate %d/%s is not usable", r.Burst, r.Per)
		}
	}
	return &Endpoint{o}, nil
}

func orElse[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// Peer is what is known of a client from its handshake.
type Peer struct {
	Client authcore.Client
	// Header is what an upstream is to get of the client's request: without any claim of an identity, and with
	// X-Forwarded-For. Target is the path and query that were asked for, Host the host.
	Header       http.Header
	Target, Host string
	// OnClose is called once, when the connection is gone, and the one to the upstream.
	OnClose func()
}

// MayConnect judges the Origin of a request. No ambient credential is used here, so it only matters where origins are
// named; a client that is no browser sends none, and could send any.
func (e *Endpoint) MayConnect(r *http.Request) bool {
	origins := r.Header["Origin"]
	if len(e.o.Origins) == 0 || len(origins) == 0 {
		return true
	}
	o, ok := chatroom.ParseOrigin(origins[0])
	if !ok || len(origins) > 1 {
		return false
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	if itself, ok := chatroom.ParseOrigin(scheme + "://" + r.Host); ok && o == itself {
		return true
	}
	return slices.Contains(e.o.Origins, o)
}

// Admit takes a place for a connection from an address, or reports that it has enough of them. The place belongs to the
// connection that [Endpoint.Open] makes; where none comes about, [Endpoint.Dismiss] gives it back.
func (e *Endpoint) Admit(addr netip.Addr) bool {
	return e.o.Counts.Take(addressKey(addr), e.limitOf(addr))
}

// Dismiss gives a place back.
func (e *Endpoint) Dismiss(addr netip.Addr) { e.o.Counts.Done(addressKey(addr)) }

// limitOf is none for who comes over a Unix socket: they all have the same address.
func (e *Endpoint) limitOf(addr netip.Addr) int {
	if !addr.IsValid() {
		return 0
	}
	return e.o.PerAddress
}

func addressKey(addr netip.Addr) string { return "address " + authcore.AddrKey(addr) }

func accountKey(id authcore.AccountID) string { return "account " + string(id) }
