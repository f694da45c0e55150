package proxy

import (
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

func pool(max int, dials ...string) reverseproxy.UpstreamPool {
	var p reverseproxy.UpstreamPool
	for _, d := range dials {
		p = append(p, &reverseproxy.Upstream{Host: new(reverseproxy.Host), Dial: d, MaxRequests: max})
	}
	return p
}

// hold counts n WebSockets to an upstream, until the test ends.
func hold(t *testing.T, u *reverseproxy.Upstream, n int) (held []*liveUpstream) {
	t.Helper()
	for range n {
		l := liveUpstreams.add(u)
		held = append(held, l)
	}
	return held
}

func release(held []*liveUpstream) {
	for _, l := range held {
		l.done()
	}
}

func selected(s reverseproxy.Selector, p reverseproxy.UpstreamPool) string {
	if u := s.Select(p, nil, nil); u != nil {
		return u.Dial
	}
	return ""
}

func TestMaxRequestsCountsWebSockets(t *testing.T) {
	s := countingPolicy(reverseproxy.FirstSelection{})
	p := pool(2, "a", "b", "c")
	a := hold(t, p[0], 1)
	if got := selected(s, p); got != "a" {
		t.Errorf("with room for one more: %q, want a", got)
	}
	a = append(a, hold(t, p[0], 1)...)
	if got := selected(s, p); got != "b" {
		t.Errorf("a is full: %q, want b", got)
	}
	b := hold(t, p[1], 2)
	if got := selected(s, p); got != "c" {
		t.Errorf("a and b are full: %q, want c", got)
	}
	c := hold(t, p[2], 3)
	if got := selected(s, p); got != "" {
		t.Errorf("all are full: %q, want none", got)
	}
	if len(p) != 3 || p[0].Dial != "a" || p[2].Dial != "c" {
		t.Errorf("the pool itself was changed: %v", p)
	}
	// Another configuration's upstream of the same address has the same connections.
	if got := selected(s, pool(2, "c", "d")); got != "d" {
		t.Errorf("c is full, whoever asks: %q, want d", got)
	}
	if got := selected(s, pool(0, "c", "d")); got != "c" {
		t.Errorf("without a limit nothing is full: %q, want c", got)
	}
	release(a)
	if got := selected(s, p); got != "a" {
		t.Errorf("a is free again: %q", got)
	}
	release(b)
	release(c)
	if n := len(liveUpstreams.count); n != 0 {
		t.Errorf("%d upstreams are counted when all are gone", n)
	}
}

func TestLeastConnCountsWebSockets(t *testing.T) {
	for name, s := range map[string]reverseproxy.Selector{
		"a value": countingPolicy(reverseproxy.LeastConnSelection{}), "a pointer": countingPolicy(new(reverseproxy.LeastConnSelection)),
	} {
		t.Run(name, func(t *testing.T) {
			p := pool(0, "a", "b", "c")
			a, b, c := hold(t, p[0], 3), hold(t, p[1], 1), hold(t, p[2], 2)
			for range 20 {
				if got := selected(s, p); got != "b" {
					t.Fatalf("3, 1 and 2 connections: %q, want b", got)
				}
			}
			b = append(b, hold(t, p[1], 1)...)
			seen := make(map[string]int)
			for range 400 {
				seen[selected(s, p)]++
			}
			if seen["b"] < 100 || seen["c"] < 100 || len(seen) != 2 {
				t.Errorf("3, 2 and 2 connections: %v", seen)
			}
			p[1].MaxRequests = 2
			for range 20 {
				if got := selected(s, p); got != "c" {
					t.Fatalf("3, full and 2: %q, want c", got)
				}
			}
			release(a)
			release(b)
			release(c)
		})
	}
	if got := selected(countingPolicy(reverseproxy.LeastConnSelection{}), nil); got != "" {
		t.Errorf("of no upstream: %q", got)
	}
}

// Without one there is nothing to count: an upstream that was not selected by the reverse proxy.
func TestCountsNothingWithoutAnUpstream(t *testing.T) {
	l := liveUpstreams.add(nil)
	l.done()
	if l != nil || len(liveUpstreams.count) != 0 {
		t.Errorf("%v, %v", l, liveUpstreams.count)
	}
}
