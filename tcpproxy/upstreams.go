package tcpproxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/mholt/caddy-l4/layer4"
	"github.com/mholt/caddy-l4/modules/l4proxy"

	"github.com/chatgate/chatgate/chatroom/relay"
)

// upstreams are those of one chatgate_line. Which one it is to be, and whether it is well, is decided by caddy-l4's proxy;
// dialling and counting are ours, since it keeps its own to itself.
type upstreams struct {
	proxy   *l4proxy.Handler
	tls     map[*l4proxy.Upstream]*tls.Config
	version byte // of the PROXY protocol; 0: none
	first   []template
	timeout time.Duration // to dial, and to be told the first lines
}

// What is counted of an upstream address, in the whole process.
var (
	connections relay.Counts // that were handed over
	failures    relay.Counts // of late to dial it
)

// checkUpstreams says what of caddy-l4's proxy cannot be had here.
func checkUpstreams(p *l4proxy.Handler) error {
	switch p.ProxyProtocol {
	case "", "v1", "v2":
	default:
		return fmt.Errorf("proxy_protocol is %q; it is v1 or v2", p.ProxyProtocol)
	}
	if len(p.Upstreams) == 0 {
		return errors.New("there are options for an upstream, but no upstream")
	}
	if h := p.HealthChecks; h != nil && h.Active != nil && h.Active.CloseIfUnhealthy {
		return errors.New("close_if_unhealthy is not supported here")
	}
	for _, u := range p.Upstreams {
		switch {
		case u == nil || len(u.Dial) != 1:
			return fmt.Errorf("an upstream has one address, not %d; say upstream once for each of several", lenDial(u))
		case len(u.LocalAddrs) > 0 || u.ResolverPreference != "":
			return errors.New("local_address and resolver_preference are not supported here")
		case !strings.Contains(u.Dial[0], "{"):
			if _, err := dialAddress(u.Dial[0]); err != nil {
				return err
			}
		}
	}
	return nil
}

func lenDial(u *l4proxy.Upstream) int {
	if u == nil {
		return 0
	}
	return len(u.Dial)
}

func dialAddress(text string) (caddy.NetworkAddress, error) {
	a, err := caddy.ParseNetworkAddress(text)
	switch {
	case err != nil || a.Network == "unix" && a.Host == "" || a.Network != "unix" && (a.Host == "" || a.StartPort == 0):
		return a, fmt.Errorf("upstream %q is no address such as 127.0.0.1:6667", text)
	case a.PortRangeSize() != 1:
		return a, fmt.Errorf("upstream %q has several ports; give it one", text)
	}
	switch a.Network {
	case "tcp", "tcp4", "tcp6", "unix":
		return a, nil
	}
	return a, fmt.Errorf("upstream %q is not reached by TCP or a unix socket", text)
}

// provisionTLS makes what upstreams are dialled with. It comes before the proxy does the same for itself, since Caddy
// forgets the configuration of a module once it is loaded.
func (s *upstreams) provisionTLS(ctx caddy.Context) error {
	s.tls = make(map[*l4proxy.Upstream]*tls.Config)
	for _, u := range s.proxy.Upstreams {
		if u.TLS == nil {
			continue
		}
		cfg, err := u.TLS.MakeTLSClientConfig(ctx)
		if err != nil {
			return fmt.Errorf("upstream %s: %w", u, err)
		}
		if cfg == nil {
			cfg = new(tls.Config)
		}
		if cfg.MinVersion == 0 {
			cfg.MinVersion = tls.VersionTLS12
		}
		s.tls[u] = cfg
	}
	return nil
}

// connect returns a connection to an upstream that has been told who is there, and the address to be given back to
// connections when it is closed.
func (s *upstreams) connect(ctx context.Context, cx *layer4.Connection, who caller) (relay.Conn, string, error) {
	lb := s.proxy.LoadBalancing
	for start := time.Now(); ; {
		up, dial, err := s.try(ctx, cx, who)
		if err == nil || time.Since(start) >= time.Duration(lb.TryDuration) {
			return up, dial, err
		}
		select {
		case <-time.After(time.Duration(lb.TryInterval)):
		case <-ctx.Done():
			return nil, "", err
		}
	}
}

func (s *upstreams) try(ctx context.Context, cx *layer4.Connection, who caller) (relay.Conn, string, error) {
	u := s.proxy.LoadBalancing.SelectionPolicy.Select(s.available(), cx)
	if u == nil {
		return nil, "", errors.New("no upstream is available")
	}
	hello, err := s.introduction(cx, who) // before it is dialled: it is no fault of the upstream if there is none
	if err != nil {
		return nil, "", err
	}
	dial := u.Dial[0]
	connections.Take(dial, 0)
	start := time.Now()
	conn, err := s.reach(ctx, u, cx, hello)
	if err != nil {
		connections.Done(dial)
		// The time of the call may have been used up before it was dialled, by whatever the caller did.
		if ctx.Err() == nil || time.Since(start) > s.timeout/2 {
			s.failed(dial)
		}
		return nil, "", fmt.Errorf("upstream %s: %w", dial, err)
	}
	return conn, dial, nil
}

// reach dials an upstream and tells it who is there.
func (s *upstreams) reach(ctx context.Context, u *l4proxy.Upstream, cx *layer4.Connection, hello []byte) (relay.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	conn, err := s.dial(ctx, u, cx)
	if err != nil || len(hello) == 0 {
		return conn, err
	}
	deadline, _ := ctx.Deadline()
	_ = conn.SetWriteDeadline(deadline)
	_, err = conn.Write(hello)
	if err = errors.Join(err, conn.SetWriteDeadline(time.Time{})); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

func (s *upstreams) dial(ctx context.Context, u *l4proxy.Upstream, cx *layer4.Connection) (relay.Conn, error) {
	a, err := dialAddress(cx.Replacer().ReplaceAll(u.Dial[0], ""))
	if err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, a.Network, a.JoinHostPort(0))
	if err != nil {
		return nil, err
	}
	if cfg := s.tls[u]; cfg != nil {
		cfg = cfg.Clone()
		if cfg.ServerName = cx.Replacer().ReplaceAll(cfg.ServerName, ""); cfg.ServerName == "" {
			cfg.ServerName = a.Host
		}
		t := tls.Client(conn, cfg)
		if err := t.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		conn = t
	}
	c, ok := conn.(relay.Conn)
	if !ok {
		_ = conn.Close()
		return nil, fmt.Errorf("a connection of type %T cannot be half-closed", conn)
	}
	return c, nil
}

// introduction is what tells an upstream who is there.
func (s *upstreams) introduction(cx *layer4.Connection, who caller) ([]byte, error) {
	var b bytes.Buffer
	if s.version != 0 {
		h, err := proxyHeader(s.version, cx.RemoteAddr(), cx.LocalAddr(), who)
		if err != nil {
			return nil, err
		}
		b.Write(h)
	}
	for _, t := range s.first {
		if err := t.appendTo(&b, who, cx.RemoteAddr()); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

// available returns the upstreams with room for one more, and without too many failures of late. What active health
// checks say is asked by the selection policies.
func (s *upstreams) available() l4proxy.UpstreamPool {
	limit := 0
	if h := s.proxy.HealthChecks; h != nil && h.Passive != nil && h.Passive.FailDuration > 0 {
		limit = max(h.Passive.MaxFails, 1)
	}
	out := func(u *l4proxy.Upstream) bool {
		return u.MaxConnections > 0 && connections.Of(u.Dial[0]) >= u.MaxConnections || limit > 0 && failures.Of(u.Dial[0]) >= limit
	}
	var kept l4proxy.UpstreamPool
	for i, u := range s.proxy.Upstreams {
		if out(u) {
			if kept == nil { // the pool stays the same as long as nobody is left out: a policy may remember places in it
				kept = append(make(l4proxy.UpstreamPool, 0, len(s.proxy.Upstreams)), s.proxy.Upstreams[:i]...)
			}
		} else if kept != nil {
			kept = append(kept, u)
		}
	}
	if kept == nil {
		return s.proxy.Upstreams
	}
	return kept
}

func (s *upstreams) failed(dial string) {
	h := s.proxy.HealthChecks
	if h == nil || h.Passive == nil || h.Passive.FailDuration <= 0 {
		return
	}
	failures.Take(dial, 0)
	time.AfterFunc(time.Duration(h.Passive.FailDuration), func() { failures.Done(dial) })
}

// leastConn is caddy-l4's policy of that name, by our own counts.
type leastConn struct{}

// Select implements l4proxy.Selector.
func (leastConn) Select(pool l4proxy.UpstreamPool, cx *layer4.Connection) *l4proxy.Upstream {
	var best *l4proxy.Upstream
	least, ties := 0, 0
	for _, u := range pool {
		if (*l4proxy.FirstSelection)(nil).Select(l4proxy.UpstreamPool{u}, cx) == nil { // the one way to ask if it is well
			continue
		}
		n := connections.Of(u.Dial[0])
		switch {
		case best == nil || n < least:
			best, least, ties = u, n, 1
		case n == least:
			if ties++; rand.IntN(ties) == 0 { //nolint:gosec // a fair choice is all that is asked
				best = u
			}
		}
	}
	return best
}
