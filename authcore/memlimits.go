package authcore

import (
	"context"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// How many keys of a class are kept; the least recently used go first. Accounts have a class of their own, so that
// invented names cannot push them out.
var classSizes = map[LimitClass]int{
	LimitAccount: 1 << 18, LimitClient: 1 << 17, LimitName: 1 << 16, LimitLogin: 1 << 16, LimitSignup: 1 << 16,
	LimitText: 1 << 16, LimitTarget: 1 << 16, LimitBudget: 16,
}

const forgetFailures = 24 * time.Hour

// MemoryLimits is a [LimitStore] for one process.
type MemoryLimits struct {
	now      func() time.Time
	mu       sync.Mutex
	rates    map[LimitClass]*lru.Cache[string, *rate.Limiter]
	failures map[LimitClass]*lru.Cache[string, failures]
}

type failures struct {
	count int
	last  time.Time
	next  time.Time // when another attempt is allowed
}

// NewMemoryLimits makes an empty store; now is its clock.
func NewMemoryLimits(now func() time.Time) (*MemoryLimits, error) {
	m := &MemoryLimits{now: now, rates: make(map[LimitClass]*lru.Cache[string, *rate.Limiter]), failures: make(map[LimitClass]*lru.Cache[string, failures])}
	for class, size := range classSizes {
		var err1, err2 error
		m.rates[class], err1 = lru.New[string, *rate.Limiter](size)
		m.failures[class], err2 = lru.New[string, failures](size)
		if err1 != nil || err2 != nil {
			return nil, err1
		}
	}
	return m, nil
}

// Take implements [LimitStore].
func (m *MemoryLimits) Take(_ context.Context, class LimitClass, key string, r Rate) (time.Duration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	every := rate.Every(r.Per / time.Duration(r.Burst))
	l, ok := m.rates[class].Get(key)
	if !ok {
		l = rate.NewLimiter(every, r.Burst)
		m.rates[class].Add(key, l)
	}
	now := m.now()
	if l.Limit() != every || l.Burst() != r.Burst { // reconfigured
		l.SetLimitAt(now, every)
		l.SetBurstAt(now, r.Burst)
	}
	res := l.ReserveN(now, 1)
	wait := res.DelayFrom(now)
	if wait > 0 {
		res.CancelAt(now)
	}
	return wait, nil
}

// Attempt implements [LimitStore].
func (m *MemoryLimits) Attempt(_ context.Context, class LimitClass, key string, b Backoff) (time.Duration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	f, _ := m.failures[class].Get(key)
	if now.Sub(f.last) > forgetFailures {
		f = failures{}
	}
	if wait := f.next.Sub(now); wait > 0 {
		return wait, nil
	}
	f.count, f.last = f.count+1, now
	f.next = now.Add(b.delay(f.count))
	m.failures[class].Add(key, f)
	return 0, nil
}

// Forgive implements [LimitStore].
func (m *MemoryLimits) Forgive(_ context.Context, class LimitClass, key string, b Backoff) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f, ok := m.failures[class].Get(key); ok && f.count > 0 {
		f.count--
		f.next = f.last.Add(b.delay(f.count))
		m.failures[class].Add(key, f)
	}
	return nil
}

// Clear implements [LimitStore].
func (m *MemoryLimits) Clear(_ context.Context, class LimitClass, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failures[class].Remove(key)
	return nil
}
