package proxy

import (
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// liveUpstreams counts the WebSockets to each upstream. The reverse proxy counts a request only until its handler returns, which
// is when the relay begins.
var liveUpstreams upstreamCounts

type upstreamCounts struct {
	mu    sync.Mutex
	count map[string]*liveUpstream
}

// liveUpstream is an upstream address with at least one WebSocket.
type liveUpstream struct {
	counts *upstreamCounts
	dial   string
	n      atomic.Int64
}

func (c *upstreamCounts) add(u *reverseproxy.Upstream) *liveUpstream {
	if u == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l, ok := c.count[u.Dial]
	if !ok {
		l = &liveUpstream{counts: c, dial: u.Dial}
		if c.count == nil {
			c.count = make(map[string]*liveUpstream)
		}
		c.count[u.Dial] = l
	}
	l.n.Add(1)
	return l
}

func (l *liveUpstream) done() {
	if l == nil {
		return
	}
	l.counts.mu.Lock()
	defer l.counts.mu.Unlock()
	if l.n.Add(-1) == 0 {
		delete(l.counts.count, l.dial)
	}
}

func (c *upstreamCounts) of(u *reverseproxy.Upstream) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l, ok := c.count[u.Dial]; ok {
		return int(l.n.Load())
	}
	return 0
}

// countingPolicy wraps a selection policy so that it counts WebSockets as requests.
func countingPolicy(inner reverseproxy.Selector) reverseproxy.Selector {
	switch inner.(type) {
	case reverseproxy.LeastConnSelection, *reverseproxy.LeastConnSelection:
		return liveLeastConn{}
	case *reverseproxy.WeightedRoundRobinSelection:
		return inner // its weights go by the position in the pool, so nothing may be left out
	}
	return notFull{inner}
}

// notFull leaves out upstreams whose requests and WebSockets add up to max_requests.
type notFull struct{ inner reverseproxy.Selector }

// Select implements reverseproxy.Selector.
func (p notFull) Select(pool reverseproxy.UpstreamPool, r *http.Request, w http.ResponseWriter) *reverseproxy.Upstream {
	return p.inner.Select(withRoom(pool), r, w)
}

// withRoom returns the upstreams of a pool below their max_requests.
func withRoom(pool reverseproxy.UpstreamPool) reverseproxy.UpstreamPool {
	var kept reverseproxy.UpstreamPool
	for i, u := range pool {
		full := u.MaxRequests > 0 && u.NumRequests()+liveUpstreams.of(u) >= u.MaxRequests
		if full && kept == nil {
			kept = append(make(reverseproxy.UpstreamPool, 0, len(pool)), pool[:i]...)
		}
		if !full && kept != nil {
			kept = append(kept, u)
		}
	}
	if kept == nil {
		return pool
	}
	return kept
}

// liveLeastConn is least_conn that counts WebSockets.
type liveLeastConn struct{}

// Select implements reverseproxy.Selector.
func (liveLeastConn) Select(pool reverseproxy.UpstreamPool, _ *http.Request, _ http.ResponseWriter) *reverseproxy.Upstream {
	var best *reverseproxy.Upstream
	least, ties := 0, 0
	for _, u := range withRoom(pool) {
		if !u.Available() {
			continue
		}
		n := u.NumRequests() + liveUpstreams.of(u)
		switch {
		case best == nil || n < least:
			best, least, ties = u, n, 1
		case n == least:
			if ties++; rand.IntN(ties) == 0 { //nolint:gosec // needs to be fair, not secret
				best = u
			}
		}
	}
	return best
}

// UpstreamsOf returns the addresses that a reverse proxy dials, as far as its configuration has them.
func UpstreamsOf(h *reverseproxy.Handler) []string {
	var out []string
	for _, u := range h.Upstreams {
		out = append(out, u.Dial)
	}
	switch d := h.DynamicUpstreams.(type) {
	case *reverseproxy.AUpstreams:
		out = append(out, net.JoinHostPort(d.Name, d.Port))
	case *reverseproxy.SRVUpstreams:
		out = append(out, net.JoinHostPort(d.String(), "0")) // its ports are not known here
	}
	return out
}
