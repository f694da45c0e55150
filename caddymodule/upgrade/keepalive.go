package upgrade

import (
	"sync"
	"time"
)

// QUIC ends a connection on which nothing was received for its idle time, and neither side of a quiet WebSocket sends. Over
// TCP such a connection lives, and the kernel probes it. So a few bytes go to every client of HTTP/3 that was sent nothing
// for half of the idle time. The client's QUIC acknowledges them, which keeps both ends awake, or shows that the client is
// gone. It is a frame of HTTP/3 that has no meaning rather than a ping of the WebSocket: there is no pong that could reach
// the upstream or count as something that the client did.

// maxQuiet is half of QUIC's idle time, for which Caddy has quic-go's default of 30 s. A client can ask for less, and has to
// stay awake by itself then.
const maxQuiet = 15 * time.Second

// quiet keeps the streams of this process awake.
var quiet = keeper{every: maxQuiet / 2}

// keeper wakes quiet streams, with one timer for all of them.
type keeper struct {
	every time.Duration

	mu      sync.Mutex
	streams map[*http3Stream]struct{}
	alarm   *time.Timer // nil without streams
}

func (k *keeper) watch(s *http3Stream) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.streams == nil {
		k.streams = make(map[*http3Stream]struct{})
	}
	k.streams[s] = struct{}{}
	if k.alarm == nil {
		k.alarm = time.AfterFunc(k.every, k.round)
	}
}

func (k *keeper) forget(s *http3Stream) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if delete(k.streams, s); len(k.streams) == 0 && k.alarm != nil {
		k.alarm.Stop()
		k.alarm = nil
	}
}

// round wakes every stream that was sent nothing since the last round.
func (k *keeper) round() {
	k.mu.Lock()
	streams := make([]*http3Stream, 0, len(k.streams))
	for s := range k.streams {
		streams = append(streams, s)
	}
	k.mu.Unlock()
	for _, s := range streams {
		s.wake()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.alarm != nil {
		k.alarm.Reset(k.every)
	}
}
