package demo

import (
	"bufio"
	"cmp"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Subprotocol is chosen if a client offers it.
const Subprotocol = "chat.v1"

const readWrite = "read-write" // the value of Options.AccessHeader that lets a member write

// Options of a [Handler]. The zero value means the defaults.
type Options struct {
	UserHeader   string // names the member; default "Remote-User"
	AccessHeader string // "read-write" lets them write; default "Remote-Access"
	History      int    // messages that a room remembers; default 50
	MaxRooms     int    // rooms in use or remembered; default 1000
	MaxMessage   int    // bytes of a message's text; default 4096
	Title        string // of the page; default "Demo chat"

	Now func() time.Time // default time.Now
}

func (o *Options) fill() error {
	o.UserHeader = cmp.Or(o.UserHeader, "Remote-User")
	o.AccessHeader = cmp.Or(o.AccessHeader, "Remote-Access")
	o.History = cmp.Or(o.History, 50)
	o.MaxRooms = cmp.Or(o.MaxRooms, 1000)
	o.MaxMessage = cmp.Or(o.MaxMessage, 4096)
	o.Title = cmp.Or(o.Title, "Demo chat")
	if o.Now == nil {
		o.Now = time.Now
	}
	switch {
	case !validHeader(o.UserHeader) || !validHeader(o.AccessHeader):
		return errors.New("demo: the name of a header may have only letters, digits and hyphens")
	case strings.EqualFold(o.UserHeader, o.AccessHeader):
		return errors.New("demo: the user and the access header must differ")
	case o.History < 0 || o.MaxRooms < 0 || o.MaxMessage < 0:
		return errors.New("demo: a limit must not be negative")
	}
	return nil
}

func validHeader(name string) bool {
	return !strings.ContainsFunc(name, func(c rune) bool {
		return c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	})
}

// Handler serves the page and the rooms.
type Handler struct {
	opts     Options
	times    times
	hub      *hub
	mux      *http.ServeMux
	upgrader websocket.Upgrader
}

// New returns a Handler, which the caller must Close.
func New(opts Options) (*Handler, error) {
	if err := opts.fill(); err != nil {
		return nil, err
	}
	h := &Handler{
		opts:  opts,
		times: defaultTimes,
		hub:   newHub(opts.MaxRooms, opts.History),
		mux:   http.NewServeMux(),
		upgrader: websocket.Upgrader{
			ReadBufferSize:  1024,
			WriteBufferSize: 1024,
			WriteBufferPool: new(sync.Pool),
			Subprotocols:    []string{Subprotocol},
			CheckOrigin:     func(*http.Request) bool { return true }, // the gateway's task
		},
	}
	if err := addPage(h.mux, opts.Title, opts.MaxMessage); err != nil {
		return nil, err
	}
	h.mux.HandleFunc("GET /api/v1/rooms/{room}/messages/ws", h.serveRoom)
	return h, nil
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// Close ends every socket with 1001 and waits until they are gone. Later requests for a socket get 503.
func (h *Handler) Close() { h.hub.close() }

func (h *Handler) serveRoom(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("room")
	if !validRoom(name) {
		http.Error(w, "not a valid room name", http.StatusBadRequest)
		return
	}
	if !websocket.IsWebSocketUpgrade(r) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		http.Error(w, "enter a room with a WebSocket", http.StatusUpgradeRequired)
		return
	}
	room, err := h.hub.enter(name)
	if err != nil {
		w.Header().Set("Retry-After", "10")
		http.Error(w, "no room is free", http.StatusServiceUnavailable)
		return
	}
	defer h.hub.leave(room)
	conn, err := h.upgrader.Upgrade(hijacker{w}, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	s := socket{
		conn:   conn,
		room:   room,
		member: newMember(r.Header.Get(h.opts.UserHeader), r.Header.Get(h.opts.AccessHeader) == readWrite),
		times:  h.times,
		limit:  h.opts.MaxMessage,
		now:    h.opts.Now,
	}
	s.serve()
}

// hijacker serves the upgrader, which asserts http.Hijacker, while the writers of some servers only have Unwrap.
type hijacker struct{ http.ResponseWriter }

func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(h.ResponseWriter).Hijack()
}

var _ http.Handler = (*Handler)(nil)
