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
	code  bool      // somebody waits for it
	tries int       // so far, including the current one
	due   time.Time // of the next try
	until time.Time // when it is given up
}

// maxRetry is the longest time between two tries.
const maxRetry = 5 * time.Minute

var errFull = errors.New("too many messages are waiting to be sent")

// queue holds messages until they are due. Its bound includes those that are being sent. Codes come first, and have a part
// of it that notices cannot fill.
type queue struct {
	limit         int
	maxAge, retry time.Duration
	now           func() time.Time

	mu      sync.Mutex
	codes   jobs
	notices jobs
	sending int
	held    int // places for codes that are still to be made
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

// hold takes a place for a code that is still to be made.
func (q *queue) hold() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.roomLocked(true); err != nil {
		return err
	}
	q.held++
	return nil
}

// release gives back a place that was held.
func (q *queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held--
}

// roomLocked reports why a message cannot be taken. A quarter of the queue is for codes alone.
func (q *queue) roomLocked(code bool) error {
	limit := q.limit
	if !code {
		limit -= limit / 4
	}
	switch {
	case q.closed:
		return errClosed
	case q.lengthLocked()+q.held >= limit:
		return errFull
	}
	return nil
}

// add takes a message, into a place that was held if it has one.
func (q *queue) add(e envelope, n authcore.Notice, held bool) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	code := n.Kind.HasCode()
	switch {
	case !held:
		if err := q.roomLocked(code); err != nil {
			return err
		}
	case q.closed:
		return errClosed
	default:
		q.held--
	}
	now := q.now()
	j := &job{envelope: e, code: code, due: now, until: now.Add(q.maxAge)}
	if n.Lifetime > 0 && n.At.Add(n.Lifetime).Before(j.until) {
		j.until = n.At.Add(n.Lifetime)
	}
	heap.Push(q.ofLocked(j), j)
	q.wakeLocked()
	return nil
}

// ofLocked returns where a message waits.
func (q *queue) ofLocked(j *job) *jobs {
	if j.code {
		return &q.codes
	}
	return &q.notices
}

// take returns the next message when it is due, a code before any notice; only codes with codesOnly. It is false when the
// queue is closed and has none, or ctx is over.
func (q *queue) take(ctx context.Context, codesOnly bool) (*job, bool) {
	for {
		q.mu.Lock()
		if ctx.Err() != nil || q.closed && len(q.codes) == 0 && (codesOnly || len(q.notices) == 0) { // whoever puts one back takes it again
			q.mu.Unlock()
			return nil, false
		}
		wait := time.Duration(1<<63 - 1)
		from := []*jobs{&q.codes, &q.notices}
		if codesOnly {
			from = from[:1]
		}
		for _, waiting := range from {
			if len(*waiting) == 0 {
				continue
			}
			due := (*waiting)[0].due.Sub(q.now())
			if due <= 0 {
				j := heap.Pop(waiting).(*job)
				j.tries++
				q.sending++
				q.mu.Unlock()
				return j, true
			}
			wait = min(wait, due)
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
	heap.Push(q.ofLocked(j), j)
	q.wakeLocked()
	return wait, true
}

// close refuses further messages, and makes those that wait due.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	now := q.now()
	for _, waiting := range []*jobs{&q.codes, &q.notices} {
		for _, j := range *waiting {
			if j.due.After(now) {
				j.due = now
			}
		}
		heap.Init(waiting)
	}
	q.wakeLocked()
}

// empty removes all messages, and returns how many there were.
func (q *queue) empty() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.codes) + len(q.notices)
	q.codes, q.notices = nil, nil
	return n
}

func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lengthLocked()
}

func (q *queue) lengthLocked() int { return len(q.codes) + len(q.notices) + q.sending }

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
