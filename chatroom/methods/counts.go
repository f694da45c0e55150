package methods

import "sync"

// Counts says how many connections there are of what kind. It belongs to the process, as the connections do: one made
// under an earlier configuration counts.
type Counts struct {
	mu sync.Mutex
	n  map[string]int
}

// take adds one under a key, unless there are limit already. No limit is none.
func (c *Counts) take(key string, limit int) bool {
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

// done takes one back.
func (c *Counts) done(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n[key]--; c.n[key] <= 0 {
		delete(c.n, key)
	}
}
