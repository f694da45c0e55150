package relay

import "sync"

// Counts are numbers of connections by key. They belong to the process, as connections do: one that was made under an
// earlier configuration counts. The zero value is ready.
type Counts struct {
	mu sync.Mutex
	n  map[string]int
}

// Take adds one under a key, unless there are limit already. A limit of 0 is none.
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

// Done takes one back.
func (c *Counts) Done(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n[key]--; c.n[key] <= 0 {
		delete(c.n, key)
	}
}

// Of returns how many there are.
func (c *Counts) Of(key string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[key]
}

// Len returns how many keys have a number.
func (c *Counts) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.n)
}
