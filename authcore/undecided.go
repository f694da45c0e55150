package authcore

import (
	"context"
	"sync"
	"time"
)

// undecided are the attempts of this process that count as failures until they are decided, by the key of their client's
// counter. Others that are refused because of them wait for the outcome.
type undecided struct {
	mu sync.Mutex
	by map[string]*flight
}

// flight are the undecided attempts of one key.
type flight struct {
	n    int
	news *news // of the next decision
}

// news is told when an attempt was decided, or when none is left that could be.
type news struct {
	done    chan struct{}
	decided bool
}

// join adds an attempt and returns the next news.
func (u *undecided) join(key string) *news {
	u.mu.Lock()
	defer u.mu.Unlock()
	f := u.by[key]
	if f == nil {
		if u.by == nil {
			u.by = make(map[string]*flight)
		}
		f = &flight{news: &news{done: make(chan struct{})}}
		u.by[key] = f
	}
	f.n++
	return f.news
}

// leave removes an attempt. decided says that it was counted and its outcome is stored.
func (u *undecided) leave(key string, decided bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f := u.by[key]
	f.n--
	if f.n == 0 {
		delete(u.by, key)
	}
	if decided || f.n == 0 {
		f.news.decided = decided
		close(f.news.done)
		f.news = &news{done: make(chan struct{})}
	}
}

// countUndecided is count for an attempt that is decided soon. While it is refused, it waits for the outcome of those
// before it, since a right one makes room: attempts are counted before they are proven, so several right ones at once
// would refuse each other. If the attempt may go on, the caller calls decided when its outcome is stored.
func (s *Service) countUndecided(ctx context.Context, t tally) (wait time.Duration, decided func(), err error) {
	u, key := &s.state.undecided, t.own().key
	for {
		next := u.join(key)
		wait, err = s.count(ctx, t)
		if err == nil && wait == 0 {
			return 0, func() { u.leave(key, true) }, nil
		}
		u.leave(key, false)
		if err != nil {
			return 0, nil, err
		}
		select {
		case <-next.done:
			if next.decided {
				continue
			}
		case <-ctx.Done():
		}
		return wait, nil, nil
	}
}
