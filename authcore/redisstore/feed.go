package redisstore

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"github.com/chatgate/chatgate/authcore"
)

// The feed is a chain. Each entry of the stream has a link (its ID in the stream and a random token) and names the link
// before it; a separate key holds the newest link. A follower that compares links knows whether it missed entries: an
// entry that does not continue its chain, or a newest link that no entry leads to, means a loss, whatever the cause: an
// emptied, restored or trimmed stream, or a replica promoted before it had everything. The follower then starts over at
// the newest link. Followers never read the past, so the stream is kept short.
//
// The chain alone misses one loss: an entry that a follower had not read when the server failed, and that the promoted
// replica never had. So the follower also compares the server's run ID before it reports anything as fresh.
//
// The keys, all in one slot of a cluster:
//
//	<prefix>:{feed}:events            the stream
//	<prefix>:{feed}:head              the newest link
//	<prefix>:{feed}:nodes             the nodes, each with the time of its last heartbeat
//	<prefix>:{feed}:answers:<name>    a stream of answers to a node, or to one publication of a node that does not follow
const (
	eventsKept  = 10_000           // entries; a follower reads them within milliseconds, or starts over
	eventsLast  = time.Hour        // after the newest
	answersKept = 10_000           // entries
	answersLast = time.Minute      // after the newest
	nodeSilence = 5 * time.Second  // after which a node counts as gone
	nodesLast   = 10 * time.Minute // after the last heartbeat of any node
	heartbeat   = 450 * time.Millisecond
	leaveWithin = 250 * time.Millisecond
)

func (s *Store) feedKey(name string) string { return s.o.Prefix + ":{" + feedTag + "}:" + name }

func (s *Store) answersKey(name string) string { return s.feedKey("answers:" + name) }

// knownNodes is Lua that sets known to the nodes with a recent heartbeat, by the server's clock. A heartbeat in the
// future came from another server, before a failover, and counts for as long.
const knownNodes = `
	local time = redis.call('TIME')
	local now = time[1] * 1000 + math.floor(time[2] / 1000)
	local silence = tonumber(ARGV[1])
	local known = redis.call('ZRANGEBYSCORE', KEYS[1], now - silence, now + silence)`

var (
	nodesScript = redis.NewScript(knownNodes + `
	return known`)

	// KEYS: nodes, events, head. ARGV: silence, token, node, reply, event, entries kept, events last.
	// A retry after a lost answer finds its own token, and adds nothing.
	publishScript = redis.NewScript(knownNodes + `
	local prev = redis.call('GET', KEYS[3]) or ''
	if string.sub(prev, -#ARGV[2]) ~= ARGV[2] then
		local id = redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[6], '*',
			'prev', prev, 'token', ARGV[2], 'node', ARGV[3], 'reply', ARGV[4], 'event', ARGV[5])
		redis.call('SET', KEYS[3], id .. '/' .. ARGV[2])
		redis.call('PEXPIRE', KEYS[2], ARGV[7])
	end
	return known`)

	// KEYS: answers. ARGV: entries kept, answers last, token, node, closed.
	answerScript = redis.NewScript(`
	redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'token', ARGV[3], 'node', ARGV[4], 'closed', ARGV[5])
	redis.call('PEXPIRE', KEYS[1], ARGV[2])
	return 1`)
)

// feed is a Store's state of the feed. Its zero value is ready for use.
type feed struct {
	mu        sync.Mutex
	following int                 // calls of Follow
	waiting   map[string]*waiting // by the token of the event
}

// waiting is a publication that waits for answers.
type waiting struct {
	mu      sync.Mutex
	answers map[string]answer // by node
	more    chan struct{}     // an answer came
}

type answer struct {
	closed int
	at     time.Time
}

func (w *waiting) add(node string, closed int) {
	w.mu.Lock()
	if _, again := w.answers[node]; !again {
		w.answers[node] = answer{closed, time.Now()}
	}
	w.mu.Unlock()
	select {
	case w.more <- struct{}{}:
	default:
	}
}

// missing reports whether one of nodes has not answered.
func (w *waiting) missing(nodes []string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(nodes, func(node string) bool { _, ok := w.answers[node]; return !ok })
}

// Publish implements [authcore.Feed].
func (s *Store) Publish(ctx context.Context, e authcore.NodeEvent) ([]authcore.NodeReceipt, error) {
	raw, err := encodeEvent(e)
	if err != nil {
		return nil, err
	}
	token := rand.Text()
	w := &waiting{answers: make(map[string]answer), more: make(chan struct{}, 1)}
	following := s.await(token, w)
	defer s.awaitNoMore(token)
	reply := s.node // this node's follower reads the answers
	if !following {
		reply = token
	}
	begun := time.Now()
	nodes, err := s.store(ctx, token, reply, raw)
	if err != nil {
		return nil, err
	}
	nodes = slices.DeleteFunc(nodes, func(node string) bool { return node == s.node })
	slices.Sort(nodes)

	ctx, cancel := context.WithDeadline(ctx, begun.Add(s.o.AnswerTimeout))
	defer cancel()
	if len(nodes) > 0 && !following {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.readAnswers(ctx, token)
		}()
		defer func() { cancel(); <-ended }()
	}
	for w.missing(nodes) {
		select {
		case <-w.more:
			continue
		case <-ctx.Done():
		}
		break
	}
	receipts := make([]authcore.NodeReceipt, len(nodes))
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, node := range nodes {
		receipts[i].Node = node
		if a, ok := w.answers[node]; ok {
			receipts[i].Answered, receipts[i].Closed, receipts[i].Took = true, a.closed, a.at.Sub(begun)
		}
	}
	return receipts, nil
}

// store adds an event to the stream, and returns the nodes that should answer.
func (s *Store) store(ctx context.Context, token, reply string, event []byte) (nodes []string, err error) {
	keys := []string{s.feedKey("nodes"), s.feedKey("events"), s.feedKey("head")}
	err = s.call(ctx, "publish an event", func(ctx context.Context) error {
		nodes, err = publishScript.Run(ctx, s.client, keys, nodeSilence.Milliseconds(), token, s.node, reply, event,
			eventsKept, eventsLast.Milliseconds()).StringSlice()
		return err
	})
	return nodes, err
}

// await registers w for answers, and reports whether a follower of this node reads them.
func (s *Store) await(token string, w *waiting) (following bool) {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	if s.feed.waiting == nil {
		s.feed.waiting = make(map[string]*waiting)
	}
	s.feed.waiting[token] = w
	return s.feed.following > 0
}

func (s *Store) awaitNoMore(token string) {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	delete(s.feed.waiting, token)
}

// answered hands an answer to the publication that waits for it. A late answer is dropped.
func (s *Store) answered(m redis.XMessage) {
	token, _ := m.Values["token"].(string)
	node, _ := m.Values["node"].(string)
	closedText, _ := m.Values["closed"].(string)
	closed, err := strconv.Atoi(closedText)
	if err != nil {
		return
	}
	s.feed.mu.Lock()
	w := s.feed.waiting[token]
	s.feed.mu.Unlock()
	if w != nil {
		w.add(node, closed)
	}
}

// readAnswers reads the answers to one publication, for a node that does not follow.
func (s *Store) readAnswers(ctx context.Context, token string) {
	last := "0-0"
	for ctx.Err() == nil {
		// A blocking read ends only by its own timeout, so it is short.
		streams, err := s.readStreams(ctx, 50*time.Millisecond, s.answersKey(token), last)
		if err != nil {
			s.o.Log.Debug("cannot read the answers to an event", "error", err)
			return
		}
		for _, m := range streams[s.answersKey(token)] {
			s.answered(m)
			last = m.ID
		}
	}
}

// answer tells the publisher of an event how many connections this node closed.
func (s *Store) answer(ctx context.Context, token, reply string, closed int) {
	err := s.call(ctx, "answer an event", func(ctx context.Context) error {
		return answerScript.Run(ctx, s.client, []string{s.answersKey(reply)}, answersKept, answersLast.Milliseconds(), token,
			s.node, closed).Err()
	})
	if err != nil {
		s.o.Log.Debug("cannot answer an event", "error", err)
	}
}

// readStreams reads the entries after the given IDs (from alternates keys and IDs), and waits up to block for one. No
// entry is no error. The client allows a blocking command ten seconds beyond block; the deadline ends it earlier when
// the server is silent.
func (s *Store) readStreams(ctx context.Context, block time.Duration, from ...string) (map[string][]redis.XMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, block+s.o.ConnectTimeout+s.o.CommandTimeout)
	defer cancel()
	args := redis.XReadArgs{Count: readAtOnce, Block: -1}
	if block > 0 {
		args.Block = max(block, time.Millisecond) // 0 would wait for ever
	}
	for i := 0; i < len(from); i += 2 {
		args.Streams = append(args.Streams, from[i])
	}
	for i := 1; i < len(from); i += 2 {
		args.Streams = append(args.Streams, from[i])
	}
	got, err := s.client.XRead(ctx, &args).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	streams := make(map[string][]redis.XMessage, len(got))
	for _, stream := range got {
		streams[stream.Stream] = stream.Messages
	}
	return streams, err
}

// Nodes returns the nodes that follow the feed, or did within the last five seconds.
func (s *Store) Nodes(ctx context.Context) ([]string, error) {
	var nodes []string
	err := s.call(ctx, "list the nodes", func(ctx context.Context) (err error) {
		keys := []string{s.feedKey("nodes")}
		nodes, err = nodesScript.Run(ctx, s.client, keys, nodeSilence.Milliseconds()).StringSlice()
		return err
	})
	slices.Sort(nodes)
	return nodes, err
}

// event is an [authcore.NodeEvent] in the stream.
type event struct {
	Account  authcore.AccountID   `json:"account,omitempty"`
	Sessions []authcore.SessionID `json:"sessions,omitempty"`
	Epoch    int64                `json:"epoch,omitempty"`
	Kept     authcore.SessionID   `json:"kept,omitempty"`
	Changed  bool                 `json:"changed,omitempty"`
	Away     authcore.SessionID   `json:"away,omitempty"`
	Keys     bool                 `json:"keys,omitempty"`
}

// errNotText refuses an ID that JSON would change. No account and no session has such an ID.
var errNotText = errors.New("an ID is not valid UTF-8")

func encodeEvent(e authcore.NodeEvent) ([]byte, error) {
	bad := func(id authcore.SessionID) bool { return !utf8.ValidString(string(id)) }
	if !utf8.ValidString(string(e.Account)) || bad(e.Kept) || bad(e.Away) || slices.ContainsFunc(e.Sessions, bad) {
		return nil, errNotText
	}
	return json.Marshal(event(e))
}

func decodeEvent(raw string) (authcore.NodeEvent, error) {
	var e event
	err := json.Unmarshal([]byte(raw), &e)
	return authcore.NodeEvent(e), err
}

var _ authcore.Feed = (*Store)(nil)
