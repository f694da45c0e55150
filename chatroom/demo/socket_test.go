package demo

import (
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

func TestTranscript(t *testing.T) {
	h, srv := start(t, Options{})
	visitor := dial(t, srv, "lobby", nil)
	onlyMember(t, h, "lobby")
	alice := dial(t, srv, "lobby", writer("alice"))
	alice.sees(joins("alice"))
	bob := dial(t, srv, "lobby", writer("bob"))
	bob.sees(joins("bob"))

	alice.say("hello <b>&")
	bob.sees(said(1, "alice", "hello <b>&"))
	bob.say("zwei\nLinien €")
	elsewhere := dial(t, srv, "attic", writer("alice"))
	elsewhere.say("alone")

	alice.sees(joins("bob"), said(1, "alice", "hello <b>&"), said(2, "bob", "zwei\nLinien €"))
	elsewhere.sees(joins("alice"), said(1, "alice", "alone"))
	_ = bob.Close()
	alice.sees(parts("bob"))
	visitor.sees(joins("alice"), joins("bob"), said(1, "alice", "hello <b>&"), said(2, "bob", "zwei\nLinien €"), parts("bob"))
}

func TestHistoryComesFirstAndIsBounded(t *testing.T) {
	_, srv := start(t, Options{History: 3})
	alice := dial(t, srv, "lobby", writer("alice"))
	alice.sees(joins("alice"))
	for i, text := range []string{"a", "b", "c", "d", "e"} {
		alice.say(text)
		alice.sees(said(i+1, "alice", text))
	}
	bob := dial(t, srv, "lobby", writer("bob"))
	bob.sees(said(3, "alice", "c"), said(4, "alice", "d"), said(5, "alice", "e"), joins("bob"))
}

func TestHistoryLongerThanTheQueue(t *testing.T) {
	_, srv := start(t, Options{History: 3 * queueSize})
	alice := dial(t, srv, "lobby", writer("alice"))
	alice.sees(joins("alice"))
	for i := range 3 * queueSize {
		alice.say("x")
		alice.sees(said(i+1, "alice", "x"))
	}
	late := dial(t, srv, "lobby", nil)
	for i := range 3 * queueSize {
		late.sees(said(i+1, "alice", "x"))
	}
}

func TestTwoSocketsOfOneUserJoinAndPartOnce(t *testing.T) {
	_, srv := start(t, Options{})
	watcher := dial(t, srv, "lobby", http.Header{"Remote-User": {"watcher"}})
	watcher.sees(joins("watcher"))
	first := dial(t, srv, "lobby", writer("alice"))
	first.sees(joins("alice"))
	second := dial(t, srv, "lobby", writer("alice"))
	second.say("from my phone")
	second.sees(said(1, "alice", "from my phone"))
	_ = first.Close()
	second.say("still here")
	second.sees(said(2, "alice", "still here"))
	_ = second.Close()
	watcher.sees(joins("alice"), said(1, "alice", "from my phone"), said(2, "alice", "still here"), parts("alice"))
}

func TestWriterWithoutANameIsGuest(t *testing.T) {
	_, srv := start(t, Options{UserHeader: "X-User", AccessHeader: "X-Access"})
	p := dial(t, srv, "lobby", http.Header{"Remote-User": {"mallory"}, "X-Access": {"read-write"}})
	p.say("who am I")
	p.sees(said(1, "guest", "who am I"))
}

func TestReadOnlyUnlessToldOtherwise(t *testing.T) {
	_, srv := start(t, Options{})
	for _, access := range []string{"", "read-only", "READ-WRITE", "read-write,"} {
		h := http.Header{}
		if access != "" {
			h.Set("Remote-Access", access)
		}
		p := dial(t, srv, "lobby", h)
		p.say("let me in")
		p.sees(`{"error":"read-only"}`)
		p.raw(websocket.BinaryMessage, "let me in")
		p.sees(`{"error":"read-only"}`)
	}
	dial(t, srv, "lobby", writer("alice")).sees(joins("alice")) // and no history
}

func TestBadMessageLeavesTheSocketOpen(t *testing.T) {
	_, srv := start(t, Options{MaxMessage: 8})
	p := dial(t, srv, "lobby", writer("alice"))
	p.sees(joins("alice"))
	p.raw(websocket.BinaryMessage, `{"text":"a"}`)
	p.sees(`{"error":"a message is a text frame"}`)
	p.raw(websocket.TextMessage, "{\"text\":\"\xff\"}")
	p.sees(`{"error":"a message is UTF-8"}`)
	p.raw(websocket.TextMessage, `hello`)
	p.sees(`{"error":"a message is a JSON object with \"text\", a string, and nothing else"}`)
	p.say(" \n")
	p.sees(`{"error":"the text is empty"}`)
	p.say("123456789")
	p.sees(`{"error":"the text is longer than 8 bytes"}`)
	p.raw(websocket.TextMessage, `{"text":"`+strings.Repeat(`\u0041`, 8)+`"}`)
	p.sees(said(1, "alice", "AAAAAAAA"))
}

func TestHugeFrameEndsTheSocket(t *testing.T) {
	h, srv := start(t, Options{MaxMessage: 8})
	p := dial(t, srv, "lobby", writer("alice"))
	room, _ := onlyMember(t, h, "lobby")
	// The peer is still sending when it is judged, and must be able to, or it may never read why.
	header := []byte{0x81, 0xff, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0} // text, masked with zeros, 4 times 64 KB
	for _, part := range append([][]byte{header}, slices.Repeat([][]byte{make([]byte, 1<<16)}, 4)...) {
		if _, err := p.NetConn().Write(part); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
		room.publish(&member{user: "bob"}, "hi", noon) // which cannot be sent behind a close frame
	}
	if code, _ := p.closedWith(); code != websocket.CloseMessageTooBig {
		t.Errorf("closed with %d", code)
	}
}

func TestSlowMemberIsClosedAndNobodyWaits(t *testing.T) {
	h, srv := start(t, Options{})
	slow := dial(t, srv, "lobby", nil)
	room, m := onlyMember(t, h, "lobby")
	text := strings.Repeat("x", 4096)
	sent := 0
	for ended := false; !ended; sent++ {
		room.publish(&member{user: "flood"}, text, noon)
		select {
		case <-m.done:
			ended = true
		default:
		}
		if sent > 1_000_000 {
			t.Fatal("the slow member is still there")
		}
	}
	code, got := slow.closedWith()
	if code != websocket.CloseTryAgainLater || got >= sent {
		t.Errorf("closed with %d after %d of %d frames", code, got, sent)
	}
}

// Without a breath a burst overtakes the writers, and ends everybody in the room.
func TestBurstPushesNobodyOut(t *testing.T) {
	const burst = 50 * queueSize
	_, srv := start(t, Options{})
	alice := dial(t, srv, "lobby", writer("alice"))
	alice.sees(joins("alice"))
	bob := dial(t, srv, "lobby", writer("bob"))
	bob.sees(joins("bob"))
	go func() {
		for range burst {
			if alice.WriteMessage(websocket.TextMessage, []byte(`{"text":"x"}`)) != nil {
				return
			}
		}
	}()
	go func() {
		for { // alice listens, or she would fall behind herself
			if _, _, err := alice.ReadMessage(); err != nil {
				return
			}
		}
	}()
	for i := range burst {
		bob.sees(said(i+1, "alice", "x"))
	}
}

func TestSilentPeerIsGivenUp(t *testing.T) {
	h, srv := start(t, Options{}, func(h *Handler) { h.times.ping, h.times.silent = 20*time.Millisecond, 300*time.Millisecond })
	p := dial(t, srv, "lobby", nil) // answers pings only while it reads
	eventually(t, "the silent member is gone", func() bool {
		h.hub.mu.Lock()
		defer h.hub.mu.Unlock()
		return len(h.hub.rooms) == 0
	})
	_ = p.Close()

	p = dial(t, srv, "lobby", nil)
	_ = p.SetReadDeadline(time.Now().Add(800 * time.Millisecond))
	_, _, err := p.ReadMessage()
	if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
		t.Errorf("a member that answers pings was given up: %v", err)
	}
}

func TestCloseEndsEveryMember(t *testing.T) {
	h, srv := start(t, Options{})
	alice := dial(t, srv, "lobby", writer("alice"))
	visitor := dial(t, srv, "attic", nil)
	alice.sees(joins("alice"))
	closed := make(chan struct{})
	go func() { h.Close(); close(closed) }()
	for _, p := range []*peer{alice, visitor} {
		if code, _ := p.closedWith(); code != websocket.CloseGoingAway {
			t.Errorf("closed with %d", code)
		}
	}
	select {
	case <-closed:
	case <-time.After(5 * time.Second):
		t.Fatal("Close does not return")
	}
	if got := refused(t, srv, "lobby"); got != http.StatusServiceUnavailable {
		t.Errorf("after Close: %d", got)
	}
	h.Close() // again is harmless
}

func TestCloseDoesNotWaitForADeadPeer(t *testing.T) {
	h, srv := start(t, Options{}, func(h *Handler) { h.times.linger = 50 * time.Millisecond })
	dial(t, srv, "lobby", writer("alice")) // never reads, so never answers the close frame
	began := time.Now()
	h.Close()
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("Close took %v", took)
	}
	if n := len(h.hub.rooms); n != 0 {
		t.Errorf("Close left %d rooms in use", n)
	}
}
