package redisstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/chatgate/chatgate/authcore"
)

const (
	readAtOnce = 100  // entries of a stream
	heldAtOnce = 1000 // events in memory for the follower; more wait in the stream
)

// announce is Lua that stores the node's heartbeat, by the server's clock, and sets run to the server's run ID. Where
// INFO is forbidden, run is empty, and only breaks of the chain are noticed.
const announce = `
	local time = redis.call('TIME')
	local now = time[1] * 1000 + math.floor(time[2] / 1000)
	redis.call('ZADD', KEYS[1], now, ARGV[1])
	redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
	redis.call('PEXPIRE', KEYS[1], ARGV[2])
	local info = redis.pcall('INFO', 'server')
	local run = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''`

var (
	// KEYS: nodes, events, head. ARGV: node, nodes last, the first link if there is none.
	joinScript = redis.NewScript(announce + `
	local head = redis.call('GET', KEYS[3])
	if not head then
		head = ARGV[3]
		redis.call('SET', KEYS[3], head)
	end
	local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
	return {run, head, last[1] and last[1][1] or '0-0'}`)

	// KEYS: nodes, head. ARGV: node, nodes last.
	heartbeatScript = redis.NewScript(announce + `
	return {run, redis.call('GET', KEYS[2]) or ''}`)

	// KEYS: nodes, answers of the node. ARGV: node. The entry wakes the node's own reader.
	leaveScript = redis.NewScript(`
	redis.call('ZREM', KEYS[1], ARGV[1])
	redis.pcall('XADD', KEYS[2], '*', 'leave', '')
	redis.call('PEXPIRE', KEYS[2], 1000)
	return 1`)
)

// Follow implements [authcore.Feed]. It calls the follower in the caller's goroutine and reads the feed in another, so
// that a slow follower neither stops the node's heartbeats nor holds up the answers to its publications.
func (s *Store) Follow(ctx context.Context, f authcore.Follower) {
	s.feed.mu.Lock()
	s.feed.following++
	s.feed.mu.Unlock()
	defer func() {
		s.feed.mu.Lock()
		s.feed.following--
		s.feed.mu.Unlock()
	}()
	q := &queue{more: make(chan struct{}, 1)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		(&reader{s: s, q: q}).run(ctx)
	}()
	for ctx.Err() == nil {
		n, ok := q.next()
		if !ok {
			select {
			case <-q.more:
			case <-ctx.Done():
			}
			continue
		}
		switch {
		case n.reset:
			f.Reset()
		case n.entry != nil:
			closed := f.Apply(n.entry.event)
			s.answer(ctx, n.entry.token, n.entry.reply, closed)
		default:
			f.Fresh(n.fresh)
		}
	}
	s.leave()
	// leave woke the reader. If the server does not answer, its own deadline or Close ends it.
	select {
	case <-read:
	case <-time.After(100 * time.Millisecond):
	}
}

// leave removes the node from the known ones, and wakes its reader.
func (s *Store) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
	defer cancel()
	err := s.call(ctx, "leave the feed", func(ctx context.Context) error {
		return leaveScript.Run(ctx, s.client, []string{s.feedKey("nodes"), s.answersKey(s.node)}, s.node).Err()
	})
	if err != nil {
		s.o.Log.Debug("cannot leave the feed", "error", err)
	}
}

// errBroken reports that the chain does not continue from the reader's link.
var errBroken = errors.New("entries of the feed were lost, or the server was replaced")

// entry is an event of another node in the stream.
type entry struct {
	event        authcore.NodeEvent
	token, reply string
}

// reader follows the chain and queues its entries for the follower.
type reader struct {
	s *Store
	q *queue

	server          string // the run ID of the server
	link            string // the last one read
	events, answers string // the IDs of the last entries read from the two streams

	// The newest link at a heartbeat, if it was ahead of the reader: once it is read, the reader is fresh as of aheadAt.
	aheadLink string
	aheadAt   time.Time

	broken bool          // and logged
	wait   time.Duration // until the next attempt
}

// The wait after a break, doubled for each further one without a good heartbeat between them.
const firstWait, longestWait = 50 * time.Millisecond, time.Second

// run reads until ctx ends.
func (r *reader) run(ctx context.Context) {
	r.wait = firstWait
	for {
		err := r.join(ctx)
		if err == nil {
			err = r.follow(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		if !r.broken {
			r.s.o.Log.Warn("the feed broke; joining it again", "error", err)
			r.broken = true
		}
		select {
		case <-time.After(r.wait):
		case <-ctx.Done():
			return
		}
		r.wait = min(2*r.wait, longestWait)
	}
}

// well notes a good heartbeat.
func (r *reader) well() {
	if r.broken {
		r.s.o.Log.Info("following the feed again")
	}
	r.broken, r.wait = false, firstWait
}

// join starts at the end of the chain, and resets the follower, which may have missed earlier entries.
func (r *reader) join(ctx context.Context) error {
	s, at := r.s, time.Now()
	keys := []string{s.feedKey("nodes"), s.feedKey("events"), s.feedKey("head")}
	var got []string
	err := s.call(ctx, "join the feed", func(ctx context.Context) (err error) {
		got, err = joinScript.Run(ctx, s.client, keys, s.node, nodesLast.Milliseconds(), "/"+rand.Text()).StringSlice()
		return err
	})
	if err != nil {
		return err
	}
	if len(got) != 3 {
		return errBroken
	}
	r.server, r.link, r.events, r.answers, r.aheadLink = got[0], got[1], got[2], "0-0", ""
	r.q.reset()
	r.q.fresh(at)
	return nil
}

// follow reads until an error.
func (r *reader) follow(ctx context.Context) error {
	for next := time.Now().Add(heartbeat); ; {
		if _, err := r.read(ctx, max(time.Until(next), time.Millisecond)); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Now().Before(next) {
			continue
		}
		if err := r.beat(ctx); err != nil {
			return err
		}
		next = time.Now().Add(heartbeat)
	}
}

// read takes in what comes within block, and says how many entries of the chain it was. While the follower is far
// behind, it leaves them where they are.
func (r *reader) read(ctx context.Context, block time.Duration) (entries int, err error) {
	s := r.s
	from := []string{s.answersKey(s.node), r.answers}
	if !r.q.full() {
		from = append(from, s.feedKey("events"), r.events)
	}
	streams, err := s.readStreams(ctx, block, from...)
	if err != nil {
		return 0, fmt.Errorf("read the feed: %w", err)
	}
	for _, m := range streams[s.answersKey(s.node)] {
		s.answered(m)
		r.answers = m.ID
	}
	for _, m := range streams[s.feedKey("events")] {
		if err := r.take(m); err != nil {
			return entries, err
		}
		entries++
	}
	return entries, nil
}

// take checks one entry of the stream and queues its event.
func (r *reader) take(m redis.XMessage) error {
	text := func(name string) string { v, _ := m.Values[name].(string); return v }
	if text("prev") != r.link || text("token") == "" {
		return errBroken
	}
	if text("node") != r.s.node {
		e, err := decodeEvent(text("event"))
		if err != nil {
			return fmt.Errorf("read an event: %w", err)
		}
		r.q.apply(entry{e, text("token"), text("reply")})
	}
	r.link, r.events = m.ID+"/"+text("token"), m.ID
	if r.link == r.aheadLink {
		r.q.fresh(r.aheadAt)
		r.aheadLink = ""
	}
	return nil
}

// beat sends a heartbeat, and compares the reader's link with the newest.
func (r *reader) beat(ctx context.Context) error {
	at := time.Now()
	head, err := r.ask(ctx)
	if err != nil {
		return err
	}
	if head == r.link {
		r.well()
		r.q.fresh(at)
		return nil
	}
	if r.aheadLink == "" { // else keep the older one, which is reached first
		r.aheadLink, r.aheadAt = head, at
	}
	if r.q.full() {
		return nil
	}
	// Entries came since, or were lost. If the link never comes, the next heartbeat without entries notices.
	if n, err := r.read(ctx, 0); err != nil {
		return err
	} else if n == 0 && !r.q.full() {
		return errBroken
	}
	return nil
}

// ask announces the node and returns the newest link.
func (r *reader) ask(ctx context.Context) (head string, err error) {
	s := r.s
	var got []string
	err = s.call(ctx, "announce the node", func(ctx context.Context) (err error) {
		keys := []string{s.feedKey("nodes"), s.feedKey("head")}
		got, err = heartbeatScript.Run(ctx, s.client, keys, s.node, nodesLast.Milliseconds()).StringSlice()
		return err
	})
	if err != nil {
		return "", err
	}
	if len(got) != 2 || got[0] != r.server || got[1] == "" {
		return "", errBroken
	}
	return got[1], nil
}

// queue holds the calls to the follower, in order.
type queue struct {
	mu    sync.Mutex
	items []notice
	count int           // of events in items
	more  chan struct{} // something was added
}

// notice is one call of a follower: Reset, Apply or Fresh.
type notice struct {
	reset bool
	entry *entry
	fresh time.Time
}

func (q *queue) add(n notice) {
	q.items = append(q.items, n)
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// reset drops the calls of Fresh from before a break. It keeps events, because they close connections.
func (q *queue) reset() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items = slices.DeleteFunc(q.items, func(n notice) bool { return !n.reset && n.entry == nil })
	if n := len(q.items); n == 0 || !q.items[n-1].reset {
		q.add(notice{reset: true})
	}
}

func (q *queue) apply(e entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count++
	q.add(notice{entry: &e})
}

// fresh replaces a call of Fresh at the end of the queue.
func (q *queue) fresh(at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := len(q.items); n > 0 && !q.items[n-1].reset && q.items[n-1].entry == nil {
		q.items = q.items[:n-1]
	}
	q.add(notice{fresh: at})
}

func (q *queue) next() (notice, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return notice{}, false
	}
	n := q.items[0]
	q.items = q.items[1:]
	if n.entry != nil {
		q.count--
	}
	return n, true
}

// full reports whether the reader should pause.
func (q *queue) full() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count >= heldAtOnce
}
