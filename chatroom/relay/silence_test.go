package relay

import (
	"testing"
	"time"
)

// swallowEvents lets the poller see what has come, without reading it.
func swallowEvents(c Conn) {
	if raw := rawConn(c); raw != nil {
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_ = raw.Read(func(uintptr) bool { return false })
		_ = c.SetReadDeadline(time.Time{})
	}
}

// TestHiddenEnd: data and the end of the stream, both there before anybody reads, raise one event and are one short
// read; nothing announces the end.
func TestHiddenEnd(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind+" client", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, kind, kind, Options{times: brisk}, nil, nil)
			r.client.say("that was all")
			_ = r.client.CloseWrite()
			swallowEvents(r.toUp.src)
			r.Start()
			r.upstream.hears("that was all")
			r.upstream.ended()
			_ = r.upstream.Close()
			r.client.ended()
			_ = r.client.Close()
			r.over(patience)
		})
		t.Run(kind+" upstream", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, kind, kind, Options{times: brisk}, nil, nil)
			r.upstream.say("that was all")
			_ = r.upstream.CloseWrite()
			swallowEvents(r.toDn.src)
			r.Start()
			r.client.hears("that was all")
			r.client.told(CloseGoingAway)
			_ = r.client.Close()
			r.upstream.drain()
			r.over(patience)
		})
		t.Run(kind+" behind a close frame", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, kind, kind, Options{}, nil, nil)
			r.upstream.send(CloseFrame(CloseTooMany, bare))
			_ = r.upstream.CloseWrite()
			swallowEvents(r.toDn.src)
			start := time.Now()
			r.Start()
			r.client.told(CloseTooMany)
			if d := time.Since(start); d > defaultTimes.look/2 {
				t.Errorf("noticed after %v", d)
			}
			r.client.answers()
			r.upstream.drain()
			r.over(patience)
		})
	}
}

// TestQuietConnectionStays: the deadline that makes a pump look again ends nothing.
func TestQuietConnectionStays(t *testing.T) {
	t.Parallel()
	r := startRig(t, "tcp", Options{times: brisk})
	r.client.say("hello")
	r.upstream.hears("hello")
	select {
	case <-r.gone:
		t.Fatal("a quiet connection was ended")
	case <-time.After(brisk.look + time.Second):
	}
	r.client.say("still here")
	r.upstream.hears("still here")
	r.upstream.say("so am I")
	r.client.hears("so am I")
	r.client.leaves()
	r.upstream.leaves()
	r.over(patience)
}
