package relay

import (
	"bufio"
	"bytes"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestGoodbye(t *testing.T) {
	bye := frame(fin, opClose, masked, []byte("\x0F\xA0so long"))
	const size = 6 // of its header
	for name, tc := range map[string]struct {
		sent    []byte
		before  int // bytes that come before the payload
		payload string
		said    bool
	}{
		"nothing":             {nil, 0, "", false},
		"alone":               {bye, size, "\x0F\xA0so long", true},
		"from a server":       {frame(fin, opClose, bare, []byte("\x03\xE8")), 2, "\x03\xE8", true},
		"empty":               {join(frame(fin, opClose, masked, nil), []byte("more")), size, "", true},
		"behind messages":     {join(text(masked, "a"), frame(fin, opBinary, masked, random(70_000)), bye), 7 + 14 + 70_000 + size, "\x0F\xA0so long", true},
		"behind broken ones":  {join(frame(more, 0x3, bare, []byte("x")), bye), 3 + size, "\x0F\xA0so long", true},
		"with data behind it": {join(bye, text(masked, "late"), bye), size, "\x0F\xA0so long", true},
		"inside a message":    {join(header(fin, opText, masked, 1<<40), bye), 14 + len(bye), "", false},
		"half":                {bye[:len(bye)-1], size, "\x0F\xA0so lon", false},
		"only its header":     {bye[:size], size, "", false},
		"too long":            {frame(fin, opClose, bare, bytes.Repeat([]byte("x"), 200)), 4, strings.Repeat("x", maxControl), true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, piece := range []int{len(tc.sent) + 1, 1000, 7, 3, 1} {
				var g Goodbye
				before := 0
				for c := range slices.Chunk(tc.sent, piece) {
					before += g.Follow(c)
				}
				payload, said := g.Said()
				if before != tc.before || string(payload) != tc.payload || said != tc.said {
					t.Errorf("in pieces of %d: %d bytes, then %.20q, %t", piece, before, payload, said)
				}
			}
		})
	}
}

func TestParseClose(t *testing.T) {
	code := func(c CloseCode) string { return string([]byte{byte(c >> 8), byte(c)}) }
	for _, c := range []CloseCode{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		if got, reason, fault := ParseClose([]byte(code(c) + "bye")); got != c || reason != "bye" || fault != 0 {
			t.Errorf("%d: %d %q, %d", c, got, reason, fault)
		}
	}
	for _, c := range []CloseCode{0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535} {
		if _, _, fault := ParseClose([]byte(code(c))); fault != CloseProtocol {
			t.Errorf("%d: %d", c, fault)
		}
	}
	for payload, want := range map[string]CloseCode{
		"": 0, "\x03": CloseProtocol, "\x03\xE8\xFF": CloseNotText, "\x03\xE8\xED\xA0\x80": CloseNotText, "\x03\xE8a\xC3": CloseNotText, "\x03\xE8\xC3\xA4": 0,
		"\x03\xE7\xFF": CloseProtocol,
	} {
		if _, _, fault := ParseClose([]byte(payload)); fault != want {
			t.Errorf("%q: %d, want %d", payload, fault, want)
		}
	}
}

// TestToUpstream: what is the client's affair is nothing else to the upstream, whichever way the client came.
func TestToUpstream(t *testing.T) {
	for code := range closeReasons {
		want := CloseGoingAway
		if code == CloseNormal || code == CloseUpstream || code == CloseRestart {
			want = code
		}
		if got := code.ToUpstream(); got != want {
			t.Errorf("%d: %d, want %d", code, got, want)
		}
	}
}

// TestDismiss: a client that is refused in a close frame has as long to answer it as any other.
func TestDismiss(t *testing.T) {
	t.Parallel()
	bye := frame(fin, opClose, masked, []byte{3, 233})
	for _, kind := range kinds {
		begin := func(t *testing.T, early []byte, o *times) (*peer, chan struct{}) {
			client, inner := connect(t, kind)
			done := make(chan struct{})
			go func() { dismiss(inner, early, CloseSession, o); close(done) }()
			p := &peer{Conn: client, t: t, name: "client", br: bufio.NewReader(client), mask: true}
			p.told(CloseSession)
			return p, done
		}
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			p, done := begin(t, nil, unhurried)
			p.waits()
			p.send(text(masked, "hello?"), random(1 << 20)[:9])
			p.waits()
			_ = p.Close()
			within(t, patience, "the end", done)

			p, done = begin(t, text(masked, "early")[:3], unhurried)
			p.waits()
			p.send(text(masked, "early")[3:], bye)
			p.ended()
			_ = p.Close()
			within(t, patience, "the end", done)

			p, done = begin(t, bye, unhurried)
			p.ended()
			_ = p.Close()
			within(t, patience, "the end", done)

			p, done = begin(t, nil, brisk) // does not answer
			within(t, wait, "the end", done)
			p.ended()

			p, done = begin(t, nil, brisk) // sends without end
			for start := time.Now(); ; {
				_ = p.SetWriteDeadline(time.Now().Add(patience))
				if _, err := p.Write(random(1 << 20)); err != nil {
					break
				}
				if time.Since(start) > wait {
					t.Fatal("it is still read")
				}
			}
			within(t, wait, "the end", done)
		})
	}
}

// awaited tells when it is read from.
type awaited struct {
	Conn
	read chan struct{}
	once sync.Once
}

func (a *awaited) Read(b []byte) (int, error) {
	a.once.Do(func() { close(a.read) })
	return a.Conn.Read(b)
}

// TestManyAreHeardOut: a wait for a close frame, of which thousands may be under way, costs little.
func TestManyAreHeardOut(t *testing.T) {
	const many, each = 200, 4 << 10
	peers, waiting := make([]Conn, many), make([]*awaited, many)
	for i := range waiting {
		var inner Conn
		peers[i], inner = connect(t, "tcp")
		waiting[i] = &awaited{Conn: inner, read: make(chan struct{})}
	}
	heapInUse() // a pool lets go of what it has at the second look
	before := heapInUse()
	var all sync.WaitGroup
	for _, c := range waiting {
		all.Go(func() { new(Goodbye).HearOut(c) })
	}
	for _, c := range waiting {
		within(t, patience, "a read", c.read)
	}
	if after := heapInUse(); after > before+many*each {
		t.Errorf("%d bytes for each", (after-before)/many)
	}
	for _, p := range peers {
		_ = p.Close()
	}
	all.Wait()
}
