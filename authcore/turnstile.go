package authcore

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// caller is who wants work done that few can have done at once.
type caller struct {
	addr  netip.Addr
	known bool // to the account that it is about: it was logged in to from there before
}

// lane returns the crowds that the caller waits in, from wide to narrow. Those who are known wait apart from strangers.
func (c caller) lane() []string {
	lane := append(networks(c.addr), "strangers")
	if c.known {
		lane[len(lane)-1] = "known"
	}
	slices.Reverse(lane)
	return lane
}

// turnstile lets a few callers in at once. The others wait for their turns, which go round: between callers that are
// known and strangers, between networks, and between the networks in them. So however many there are in one crowd,
// another one waits no longer than for its turn, and when there is no more room, the newest of the largest crowd goes.
type turnstile struct {
	mu   sync.Mutex
	free int // callers that may go in at once
	room int // callers that may wait
	all  crowd
}

// crowd is those who wait in a network: in the networks in it, or, in the narrowest, one behind the other.
type crowd struct {
	name  string
	size  int
	parts []*crowd // the first has the next turn; none is empty
	queue []waiter
}

// waiter is told once whether it may go in.
type waiter chan bool

// enter returns when the caller may go in, which it leaves by leave. It returns errBusy if there is no room to wait, or
// not any more, and when ctx ends.
func (t *turnstile) enter(ctx context.Context, c caller, patience time.Duration) error {
	t.mu.Lock()
	if t.free > 0 { // so nobody waits
		t.free--
		t.mu.Unlock()
		return nil
	}
	lane := c.lane()
	if t.all.size >= t.room && !t.all.yield(lane) {
		t.mu.Unlock()
		return errBusy
	}
	w := make(waiter, 1)
	t.all.add(lane, w)
	t.mu.Unlock()

	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case in := <-w:
		if !in {
			return errBusy
		}
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	t.mu.Lock()
	waits := t.all.remove(lane, w)
	t.mu.Unlock()
	if !waits && <-w { // its turn came meanwhile
		t.leave()
	}
	return errBusy
}

// leave lets the next caller in.
func (t *turnstile) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all.size == 0 {
		t.free++
		return
	}
	t.all.next() <- true
}

// part returns the place of a crowd in c, or -1.
func (c *crowd) part(name string) int {
	return slices.IndexFunc(c.parts, func(p *crowd) bool { return p.name == name })
}

func (c *crowd) add(lane []string, w waiter) {
	c.size++
	if len(lane) == 0 {
		c.queue = append(c.queue, w)
		return
	}
	i := c.part(lane[0])
	if i < 0 {
		i = len(c.parts)
		c.parts = append(c.parts, &crowd{name: lane[0]})
	}
	c.parts[i].add(lane[1:], w)
}

// next removes the waiter whose turn it is from a crowd that is not empty.
func (c *crowd) next() waiter {
	c.size--
	if len(c.parts) == 0 {
		w := c.queue[0]
		c.queue = slices.Delete(c.queue, 0, 1)
		return w
	}
	p := c.parts[0]
	w := p.next()
	c.parts = slices.Delete(c.parts, 0, 1)
	if p.size > 0 {
		c.parts = append(c.parts, p)
	}
	return w
}

// remove removes a waiter and reports whether it waited.
func (c *crowd) remove(lane []string, w waiter) bool {
	if len(lane) == 0 {
		i := slices.Index(c.queue, w)
		if i < 0 {
			return false
		}
		c.queue = slices.Delete(c.queue, i, i+1)
		c.size--
		return true
	}
	i := c.part(lane[0])
	if i < 0 || !c.parts[i].remove(lane[1:], w) {
		return false
	}
	c.size--
	c.dropEmpty(i)
	return true
}

// dropEmpty removes a part if nobody waits in it.
func (c *crowd) dropEmpty(i int) {
	if c.parts[i].size == 0 {
		c.parts = slices.Delete(c.parts, i, i+1)
	}
}

// largest returns the place of the largest part of c, which is not empty. Of several as large it returns the one whose
// turn is farthest.
func (c *crowd) largest() int {
	best := 0
	for i, p := range c.parts {
		if p.size >= c.parts[best].size {
			best = i
		}
	}
	return best
}

// yield makes room for one more in a lane, and reports whether it did: it sends the newest of the largest crowd away, but
// only if that is larger still than the lane's with one more.
func (c *crowd) yield(lane []string) bool {
	if len(c.parts) == 0 {
		return false
	}
	mine := &crowd{}
	if i := c.part(lane[0]); i >= 0 {
		mine = c.parts[i]
	}
	switch largest := c.parts[c.largest()]; {
	case mine.size == largest.size:
		if !mine.yield(lane[1:]) {
			return false
		}
	case mine.size+1 < largest.size:
		largest.sendAway()
	default:
		return false
	}
	c.size--
	return true
}

// sendAway refuses the newest waiter of the largest part of c, which is not empty.
func (c *crowd) sendAway() {
	c.size--
	if len(c.parts) == 0 {
		last := len(c.queue) - 1
		c.queue[last] <- false
		c.queue = slices.Delete(c.queue, last, last+1)
		return
	}
	i := c.largest()
	c.parts[i].sendAway()
	c.dropEmpty(i)
}
