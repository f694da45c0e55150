package relay

import "sync"

// Counts limit connections by key. They belong to the process, as connections do: one made under an earlier configuration
// still counts. The zero value is ready.
type Counts struct {
	mu sync.Mutex
	n  map[string]int
}

// Take counts one more under key. It returns false if there are limit already; 0 means no limit.
func (c *Counts) Take(key string, limit int) bool {
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

// Done counts one less.
func (c *Counts) Done(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n[key]--; c.n[key] <= 0 {
		delete(c.n, key)
	}
}

// Of returns how many there are under key.
func (c *Counts) Of(key string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[key]
}

// Len returns under how many keys there are any.
func (c *Counts) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.n)
}
