package demo

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

const (
	maxRoomName   = 64 // bytes
	closingReason = "going away"
)

var (
	errFull   = errors.New("demo: every room is in use")
	errClosed = errors.New("demo: closed")
)

// hub finds rooms by name. Its lock is taken before a room's, never the other way round.
type hub struct {
	maxRooms int
	keep     int // messages of history in a room
	inside   sync.WaitGroup

	mu     sync.Mutex
	rooms  map[string]*room
	empty  []*room // kept for their history; the one that is empty for longest comes first
	closed bool
}

func newHub(maxRooms, keep int) *hub {
	return &hub{maxRooms: maxRooms, keep: keep, rooms: make(map[string]*room)}
}

// enter returns the room of that name, which it makes if necessary. The room is kept until leave.
func (h *hub) enter(name string) (*room, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, errClosed
	}
	r, ok := h.rooms[name]
	switch {
	case ok && r.entered == 0:
		h.empty = slices.DeleteFunc(h.empty, func(e *room) bool { return e == r })
	case !ok:
		if len(h.rooms) == h.maxRooms {
			if len(h.empty) == 0 {
				return nil, errFull
			}
			delete(h.rooms, h.empty[0].name)
			h.empty = slices.Delete(h.empty, 0, 1)
		}
		r = newRoom(name, h.keep)
		h.rooms[name] = r
	}
	r.entered++
	h.inside.Add(1)
	return r, nil
}

// leave undoes enter. A room in which nothing was said is not kept.
func (h *hub) leave(r *room) {
	defer h.inside.Done()
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.entered--; r.entered > 0 {
		return
	}
	if r.silent() {
		delete(h.rooms, r.name)
		return
	}
	h.empty = append(h.empty, r)
}

// close ends every member and returns when all who entered have left.
func (h *hub) close() {
	h.mu.Lock()
	h.closed = true
	for _, r := range h.rooms {
		r.close()
	}
	h.mu.Unlock()
	h.inside.Wait()
}

// validRoom reports whether name, the decoded segment of a path, can be the name of a room.
func validRoom(name string) bool {
	return name != "" && len(name) <= maxRoomName && utf8.ValidString(name) &&
		!strings.ContainsRune(name, '/') && !strings.ContainsFunc(name, unicode.IsControl)
}
