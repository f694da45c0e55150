package tls

import (
	"errors"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
	"github.com/mholt/caddy-l4/layer4"
	"github.com/mholt/caddy-l4/modules/l4tls"
	"go.uber.org/zap"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/option"
	"github.com/chatgate/chatgate/chatroom/relay"
)

func init() {
	caddy.RegisterModule(new(TLS))
}

// deadlineVar marks a connection whose handshake had a deadline.
const deadlineVar = "chatgate_tls"

// HadDeadline reports whether the TLS handshake of a connection had a deadline.
func HadDeadline(cx *layer4.Connection) bool { return cx.GetVar(deadlineVar) != nil }

// handshakes counts TLS handshakes under way, by client address, in the whole process.
var handshakes relay.Counts

// TLS is the layer4 handler chatgate_tls: caddy-l4's tls, with Caddy's certificates, and with what that lacks where
// strangers connect: a deadline of the handshake, a limit on how many of them an address has under way, and a recover. Where
// a connection policy does not say what to agree to in ALPN, that is what the chatgate_line behind it speaks: irc, or nothing.
type TLS struct {
	l4tls.Handler

	// How long the handshake may take, all in all. Default: 10s.
	HandshakeTimeout caddy.Duration `json:"handshake_timeout,omitempty"`
	// How many handshakes one client address may have under way. Default: 64.
	PerAddress int `json:"per_address,omitempty"`

	place  place
	unset  caddytls.ConnectionPolicies // in which an operator says nothing about ALPN
	agreed sync.Once                   // what to agree to is known when all routes are provisioned
}

// CaddyModule returns the Caddy module information.
func (*TLS) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "layer4.handlers.chatgate_tls", New: func() caddy.Module { return new(TLS) }}
}

// Provision sets up the certificates.
func (t *TLS) Provision(ctx caddy.Context) error {
	options := t.Options()
	if err := options.Check(); err != nil {
		return err
	}
	options.Fill()
	if slices.Contains(t.ConnectionPolicies, nil) { // in JSON; Caddy would panic
		return errors.New("connection_policies has a null; write {} for a policy with the defaults")
	}
	if len(t.ConnectionPolicies) == 0 { // as caddy-l4's does
		t.ConnectionPolicies = caddytls.ConnectionPolicies{new(caddytls.ConnectionPolicy)}
	}
	t.unset = unsetPolicies(t.ConnectionPolicies)
	if err := t.Handler.Provision(ctx); err != nil {
		return err
	}
	t.enter(ctx)
	return nil
}

// Cleanup forgets the handler. Connections that it has let in stay.
func (t *TLS) Cleanup() error {
	t.leave()
	return nil
}

// Options implements [option.Holder].
func (t *TLS) Options() option.Table {
	return option.Table{
		option.Duration("handshake_timeout", &t.HandshakeTimeout).Default("10s").Between("100ms", "1m"),
		option.Count("per_address", &t.PerAddress).Default("64").Between("1", "1000000"),
	}
}

// Handle implements layer4.NextHandler.
func (t *TLS) Handle(cx *layer4.Connection, next layer4.Handler) (err error) {
	t.agreed.Do(func() { t.agree(t.leadsTo()) })
	log := func() *zap.Logger {
		return caddy.Log().Named("chatgate.tls").With(zap.Stringer("remote", cx.RemoteAddr()))
	}
	var key string
	if at, err := netip.ParseAddrPort(cx.RemoteAddr().String()); err == nil {
		key = authcore.AddrKey(at.Addr())
	}
	if !handshakes.Take(key, t.PerAddress) {
		log().Debug("too many TLS handshakes under way from this address")
		return nil
	}
	underWay := true
	over := func() {
		if underWay {
			underWay = false
			handshakes.Done(key)
		}
	}
	defer func() {
		over()
		if p := recover(); p != nil {
			log().Error("panic while handling a connection", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			err = nil
		}
	}()
	if err := cx.SetDeadline(time.Now().Add(time.Duration(t.HandshakeTimeout))); err != nil {
		return nil //nolint:nilerr // the client is gone
	}
	err = t.Handler.Handle(cx, layer4.HandlerFunc(func(inner *layer4.Connection) error {
		over()
		inner.SetVar(deadlineVar, true)
		if err := inner.SetDeadline(time.Time{}); err != nil {
			return nil //nolint:nilerr // as above
		}
		return next.Handle(inner)
	}))
	if err != nil && underWay { // what strangers send is no error of ours; caddy-l4 would log it as one
		log().Debug("TLS handshake failed", zap.Error(err))
		return nil
	}
	return err
}

// UnmarshalCaddyfile reads the handler. Syntax, with the defaults:
//
//	chatgate_tls {
//	    handshake_timeout 10s
//	    per_address       64
//	    # and whatever caddy-l4's tls takes: connection_policy { ... }
//	}
//
// What an alpn of a connection_policy says holds. Without it, a client may offer irc before a chatgate_line with upstream irc,
// nothing before any other chatgate_line, and before other handlers what Caddy has for websites.
func (t *TLS) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the handler's name
	ours := option.Block{Of: "chatgate_tls", Table: t.Options()}
	rest, _, err := ours.TakeOut(d.NextSegment())
	if err != nil {
		return err
	}
	if err := t.Handler.UnmarshalCaddyfile(caddyfile.NewDispenser(rest)); err != nil {
		return ours.NotOurs("caddy-l4's tls", err)
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner  = (*TLS)(nil)
	_ caddy.CleanerUpper = (*TLS)(nil)
	_ layer4.NextHandler = (*TLS)(nil)

	_ caddyfile.Unmarshaler = (*TLS)(nil)
	_ option.Holder         = (*TLS)(nil)
)
