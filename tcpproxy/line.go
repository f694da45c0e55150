package tcpproxy

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/mholt/caddy-l4/layer4"
	"github.com/mholt/caddy-l4/modules/l4proxy"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/option"
)

func init() {
	caddy.RegisterModule(new(Line))
}

// Line is the layer4 handler chatgate_line: account requests, one a line, and, with an upstream, the gate before a legacy
// TCP chat. It ends a chain of handlers, behind chatgate_tls. All fields are optional.
type Line struct {
	// The upstreams, how one is chosen, their health checks, and whether they speak the PROXY protocol: the
	// configuration of caddy-l4's proxy. Of proxy_protocol v2, chatgate adds who is there as TLVs: 0xE0 the username, 0xE1
	// the account's UUID, 0xE2 "read-write" or "read-only". Default: none, and the connection stays for more requests.
	Proxy *l4proxy.Handler `json:"proxy,omitempty"`
	// Set where the upstreams are IRC servers. Then the connection speaks IRC instead of the line protocol: a client logs in
	// with SASL PLAIN, or with PASS account:password, and its nick is its account's name.
	IRC *IRC `json:"irc,omitempty"`
	// Lines that the upstream is sent first, such as "NICK {user.name}". There are {user.name}, {user.id},
	// {user.display_name}, {user.access}, {client.ip}, and what Caddy knows at the start, such as {env.PASSWORD}. A line
	// with a field that has no value, such as a visitor's name, is not sent.
	FirstLines []string `json:"first_lines,omitempty"`
	// Whether the request "visit" lets in who has no account, to read along: "refuse" (the default), "drop" what such a
	// client sends, or "cut" the connection at the first byte of it.
	Anonymous string `json:"anonymous,omitempty"`
	// What ends a connection: the end of its "session" (the default), or that of its "token" as well.
	Expiry string `json:"expiry,omitempty"`
	// How long the tokens of a login are good. Default: 1h.
	TokenLifetime caddy.Duration `json:"token_lifetime,omitempty"`
	// How long a line may take, all in all. Default: 15s.
	LineTimeout caddy.Duration `json:"line_timeout,omitempty"`
	// How long dialling an upstream may take. Default: 10s.
	DialTimeout caddy.Duration `json:"dial_timeout,omitempty"`
	// A connection that was handed over ends after this time without a byte in either direction. Default: never; TCP keep-alive
	// notices a peer that is gone.
	IdleTimeout caddy.Duration `json:"idle_timeout,omitempty"`
	// Failed requests allowed per connection. Default: 3.
	Tries int `json:"tries,omitempty"`
	// Requests allowed per connection; over IRC, lines before the client is registered. Default: 16; over IRC, 64.
	Requests int `json:"requests,omitempty"`
	// How many connections without a login one client address may have. Default: 256.
	PerAddress int `json:"per_address,omitempty"`
	// How many connections one account may have. Default: 256.
	PerAccount int `json:"per_account,omitempty"`
	// Whether connections without TLS are served, for use behind something that ends TLS. Default: false.
	Plaintext bool `json:"plaintext,omitempty"`

	app         app
	upstreams   *upstreams
	provisioned bool // the proxy
}

// app is what is needed of the chatgate app.
type app interface {
	// Service returns the operations, for a request that calls done when it is over.
	Service(context.Context) (service *authcore.Service, done func(), err error)
	// Hold keeps the stores open until release, for a connection that outlives its request and its configuration.
	Hold() (release func())
}

// guard is the part of the chatgate app that looks for other ways to an upstream.
type guard interface {
	Guard(handler string, upstreams ...string)
}

// Values of options.
const (
	anonymousRefuse = "refuse"
	anonymousDrop   = "drop"
	anonymousCut    = "cut"

	expirySession = "session"
	expiryToken   = "token"
)

// CaddyModule returns the Caddy module information.
func (*Line) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "layer4.handlers.chatgate_line", New: func() caddy.Module { return new(Line) }}
}

// Provision finds the app and makes the upstreams ready. Nothing is dialled, except by active health checks.
func (l *Line) Provision(ctx caddy.Context) error {
	a, err := ctx.App("chatgate")
	if err != nil {
		return fmt.Errorf("getting the chatgate app: %w", err)
	}
	var ok bool
	if l.app, ok = a.(app); !ok {
		return fmt.Errorf("the chatgate app is a %T, which is not of this version", a)
	}
	if err := l.provision(ctx); err != nil {
		return err
	}
	if g, ok := a.(guard); ok && l.Proxy != nil {
		for _, u := range l.Proxy.Upstreams {
			g.Guard("chatgate_line", u.Dial...)
		}
	}
	return nil
}

// provision does the rest, for which there need be no app.
func (l *Line) provision(ctx caddy.Context) error {
	if err := l.check(); err != nil {
		return err
	}
	l.Options().Fill()
	if l.IRC != nil {
		if err := l.IRC.provision(); err != nil {
			return fmt.Errorf("irc: %w", err)
		}
	}
	if l.Proxy == nil {
		return nil
	}
	s := &upstreams{proxy: l.Proxy, timeout: time.Duration(l.DialTimeout)}
	for i, text := range l.FirstLines {
		t, err := parseTemplate(text)
		if err != nil {
			return fmt.Errorf("first_line %d: %w", i+1, err)
		}
		s.first = append(s.first, t)
	}
	switch l.Proxy.ProxyProtocol {
	case "v1":
		s.version = 1
	case "v2":
		s.version = 2
	}
	if err := s.provisionTLS(ctx); err != nil {
		return err
	}
	l.provisioned = true // what it took hold of before it failed is to be let go of, too
	if err := l.Proxy.Provision(ctx); err != nil {
		return err
	}
	if _, ok := l.Proxy.LoadBalancing.SelectionPolicy.(*l4proxy.LeastConnSelection); ok {
		l.Proxy.LoadBalancing.SelectionPolicy = leastConn{}
	}
	l.upstreams = s
	return nil
}

// Options implements [option.Holder].
func (l *Line) Options() option.Table {
	requests := "16"
	if l.IRC != nil {
		requests = "64"
	}
	return option.Table{
		option.Func("first_line", "a template", l.unmarshalFirstLine).Keys("first_lines").Again().Where(func() bool { return len(l.FirstLines) > 0 }),
		option.Word("anonymous", &l.Anonymous, anonymousRefuse, anonymousDrop, anonymousCut),
		option.Word("expiry", &l.Expiry, expirySession, expiryToken),
		option.Duration("token_lifetime", &l.TokenLifetime).Default("1h").Between("1m", "400d"),
		option.Duration("line_timeout", &l.LineTimeout).Default("15s").Between("1s", "1m"),
		option.Duration("dial_timeout", &l.DialTimeout).Default("10s").Between("1ms", callTimeout.String()),
		option.Duration("idle_timeout", &l.IdleTimeout).Or("off", 0).DefaultIs("off").Between("1s", "400d"),
		option.Count("tries", &l.Tries).Default("3").Between("1", "100"),
		option.Count("requests", &l.Requests).Default(requests).Between("1", "10000"),
		option.Count("per_address", &l.PerAddress).Default("256").Between("1", "1000000"),
		option.Count("per_account", &l.PerAccount).Default("256").Between("1", "1000000"),
		option.Either("plaintext", &l.Plaintext, "refuse", "allow"),
		option.Func("irc", "a block", l.unmarshalIRC).Block(new(IRC).Options()),
	}
}

// check says what is wrong with the options, before their defaults are filled in.
func (l *Line) check() error {
	if err := l.Options().Check(); err != nil {
		return err
	}
	return l.checkGate()
}

// checkGate says what is wrong with what is for an upstream.
func (l *Line) checkGate() error {
	if l.IRC != nil {
		if err := l.checkIRC(); err != nil {
			return err
		}
	}
	if l.Proxy != nil {
		return checkUpstreams(l.Proxy)
	}
	t := l.Options()
	name := t.Set("first_line")
	if name == "" && l.visitors() {
		name = "anonymous"
	}
	if name = cmp.Or(name, t.Set("expiry", "idle_timeout", "dial_timeout", "per_account")); name != "" {
		return option.Wrong(name, "%s only matters with an upstream; name one with the upstream option", name)
	}
	return nil
}

// visitors reports whether somebody without an account is let in.
func (l *Line) visitors() bool { return l.Anonymous == anonymousDrop || l.Anonymous == anonymousCut }

// Cleanup lets go of the upstreams. Connections that were handed over stay.
func (l *Line) Cleanup() error {
	if !l.provisioned {
		return nil
	}
	return l.Proxy.Cleanup()
}

// Interface guards
var (
	_ caddy.Provisioner  = (*Line)(nil)
	_ caddy.CleanerUpper = (*Line)(nil)
	_ layer4.NextHandler = (*Line)(nil)
)
