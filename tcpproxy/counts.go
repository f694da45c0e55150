package tcpproxy

import "sync"

// counts are numbers by key, of the process: connections outlive the configuration that they came by.
type counts struct {
	mu sync.Mutex
	n  map[string]int
}

var (
	handshakes  counts // TLS handshakes under way, by client address
	strangers   counts // connections that nobody has logged in, by client address
	members     counts // connections handed over, by account
	connections counts // connections handed over, by upstream address
	failures    counts // of late to dial an upstream address
)

// take adds one, unless there are limit already; without a limit, always.
func (c *counts) take(key string, limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if limit > 0 && c.n[key] >= limit {
		return false
	}
	if c.n == nil {
		c.n = make(map[string]int)
	}
	c.n[key]++
	return true
}

func (c *counts) done(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n[key]--; c.n[key] <= 0 {
		delete(c.n, key)
	}
}

func (c *counts) of(key string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[key]
}
