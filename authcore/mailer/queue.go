package mailer

import (
	"container/heap"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// job is a message in the queue.
type job struct {
	envelope
	tries int       // so far, including the current one
	due   time.Time // of the next try
	until time.Time // when it is given up
}

// maxRetry is the longest time between two tries.
const maxRetry = 5 * time.Minute

var errFull = errors.New("too many messages are waiting to be sent")

// queue holds messages until they are due. Its bound includes those that are being sent.
type queue struct {
	limit         int
	maxAge, retry time.Duration
	now           func() time.Time

	mu      sync.Mutex
	waiting jobs
	sending int
	closed  bool
	changed chan struct{} // closed and replaced to wake the workers
}

func newQueue(limit int, maxAge, retry time.Duration, now func() time.Time) *queue {
	return &queue{limit: limit, maxAge: maxAge, retry: retry, now: now, changed: make(chan struct{})}
}

// enter adds one to wg, unless the queue is closed.
func (q *queue) enter(wg *sync.WaitGroup) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	wg.Add(1)
	return true
}

func (q *queue) add(e envelope, n authcore.Notice) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return errClosed
	case len(q.waiting)+q.sending >= q.limit:
		return errFull
	}
	now := q.now()
	j := &job{envelope: e, due: now, until: now.Add(q.maxAge)}
	if n.Lifetime > 0 && n.At.Add(n.Lifetime).Before(j.until) {
		j.until = n.At.Add(n.Lifetime)
	}
	heap.Push(&q.waiting, j)
	q.wakeLocked()
	return nil
}

// take returns the next message when it is due, or false once the queue is closed and empty or ctx is done.
func (q *queue) take(ctx context.Context) (*job, bool) {
	for {
		q.mu.Lock()
		if ctx.Err() != nil || q.closed && len(q.waiting) == 0 { // a message that is put back is taken by the same worker
			q.mu.Unlock()
			return nil, false
		}
		wait := time.Duration(1<<63 - 1)
		if len(q.waiting) > 0 {
			if wait = q.waiting[0].due.Sub(q.now()); wait <= 0 {
				j := heap.Pop(&q.waiting).(*job)
				j.tries++
				q.sending++
				q.mu.Unlock()
				return j, true
			}
		}
		changed := q.changed
		q.mu.Unlock()

		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// done removes a message that was taken.
func (q *queue) done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sending--
}

// again puts a message back for another try, and returns the wait. If that would be too late, it removes the message and
// returns false.
func (q *queue) again(j *job) (time.Duration, bool) {
	wait := maxRetry
	if doublings := j.tries - 1; doublings < 16 {
		wait = min(q.retry<<doublings, maxRetry)
	}
	wait -= rand.N(wait/4 + 1) //nolint:gosec // spreads the retries; nothing secret
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sending--
	if j.due = q.now().Add(wait); !j.due.Before(j.until) {
		return 0, false
	}
	heap.Push(&q.waiting, j)
	q.wakeLocked()
	return wait, true
}

// close refuses further messages, and makes those that wait due.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	now := q.now()
	for _, j := range q.waiting {
		if j.due.After(now) {
			j.due = now
		}
	}
	heap.Init(&q.waiting)
	q.wakeLocked()
}

// empty removes all messages, and returns how many there were.
func (q *queue) empty() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.waiting)
	q.waiting = nil
	return n
}

func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) + q.sending
}

func (q *queue) wakeLocked() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// jobs is a heap with the job that is due first on top.
type jobs []*job

func (h jobs) Len() int           { return len(h) }
func (h jobs) Less(i, k int) bool { return h[i].due.Before(h[k].due) }
func (h jobs) Swap(i, k int)      { h[i], h[k] = h[k], h[i] }
func (h *jobs) Push(j any)        { *h = append(*h, j.(*job)) }

func (h *jobs) Pop() any {
	old := *h
	j := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return j
}
