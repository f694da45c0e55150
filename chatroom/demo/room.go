package demo

import (
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const queueSize = 64 // frames that a member may be behind

// member is one socket in a room. A user has as many as they have tabs open.
type member struct {
	user   string // empty if the gateway named nobody
	writes bool

	backlog [][]byte    // the history at the time of joining; written before the queue
	queue   chan []byte // bounded; filled without blocking

	done   chan struct{} // closed by end, after code and reason are set
	once   sync.Once
	code   int
	reason string
}

func newMember(user string, writes bool) *member {
	return &member{
		user:   user,
		writes: writes,
		queue:  make(chan []byte, queueSize),
		done:   make(chan struct{}),
	}
}

// end closes the member's socket with that code. Only the first call counts.
func (m *member) end(code int, reason string) {
	m.once.Do(func() {
		m.code, m.reason = code, reason
		close(m.done)
	})
}

// offer queues a frame, and ends the member if its queue is full. It reports whether the queue is more than half full.
func (m *member) offer(data []byte) (late bool) {
	select {
	case <-m.done:
		return false // nobody needs to wait for this one
	default:
	}
	select {
	case m.queue <- data:
		return len(m.queue) > queueSize/2
	default:
		m.end(websocket.CloseTryAgainLater, "fell behind")
		return false
	}
}

// room has members and a recent history.
type room struct {
	name string
	keep int // messages of history

	mu      sync.Mutex
	members map[*member]struct{}
	sockets map[string]int // by named user
	history [][]byte
	lastID  int64
	closed  bool

	entered int // handlers that have not left yet; guarded by the hub's lock
}

func newRoom(name string, keep int) *room {
	return &room{
		name:    name,
		keep:    keep,
		members: make(map[*member]struct{}),
		sockets: make(map[string]int),
	}
}

// join adds a member, whose backlog is the history so far, and announces a user's first socket.
func (r *room) join(m *member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m.backlog = slices.Clone(r.history)
	r.members[m] = struct{}{}
	if m.user != "" {
		if r.sockets[m.user]++; r.sockets[m.user] == 1 {
			r.send(encode(event{eventJoin, m.user}))
		}
	}
	if r.closed {
		m.end(websocket.CloseGoingAway, closingReason)
	}
}

// part removes a member, and announces the end of a user's last socket.
func (r *room) part(m *member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.members, m)
	if m.user == "" {
		return
	}
	if r.sockets[m.user]--; r.sockets[m.user] == 0 {
		delete(r.sockets, m.user)
		r.send(encode(event{eventPart, m.user}))
	}
}

// publish gives the text an id, remembers it and sends it to every member. If it reports that some are late, the sender should
// let them catch up before its next message.
func (r *room) publish(m *member, text string, at time.Time) (late bool) {
	from := m.user
	if from == "" {
		from = guest
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastID++
	data := encode(message{r.lastID, from, text, at.UTC().Truncate(time.Second)})
	if len(r.history) == r.keep {
		r.history = slices.Delete(r.history, 0, 1)
	}
	r.history = append(r.history, data)
	return r.send(data)
}

// send queues a frame for every member. The caller holds the lock, which makes the order the same for all.
func (r *room) send(data []byte) (late bool) {
	for m := range r.members {
		if m.offer(data) {
			late = true
		}
	}
	return late
}

// close ends every member, and any that joins later.
func (r *room) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for m := range r.members {
		m.end(websocket.CloseGoingAway, closingReason)
	}
}

func (r *room) silent() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lastID == 0
}
