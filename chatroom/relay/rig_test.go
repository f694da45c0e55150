package relay

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/certtest"
)

// patience is for what should happen at once, on a machine that has other things to do.
const patience = 10 * time.Second

// closing bounds an end that a peer holds up: the flush, the last while, and some patience.
var closing = defaultTimes.flush + defaultTimes.close + time.Second

// brief are the times of a relay whose peers may leave it waiting, in a test where that is not the point.
var brief = &times{
	write: defaultTimes.write, flush: 100 * time.Millisecond, close: 100 * time.Millisecond, linger: 300 * time.Millisecond,
	look: 200 * time.Millisecond, lookBytes: defaultTimes.lookBytes,
}

// unhurried are the times of a relay that is to end at once, not when a wait is over: longer than patience.
var unhurried = &times{
	write: defaultTimes.write, flush: 3 * patience, close: 3 * patience, linger: 3 * patience,
	look: defaultTimes.look, lookBytes: defaultTimes.lookBytes,
}

// brisk are the times of a relay whose peers leave it waiting until those are over.
var brisk = &times{
	write: defaultTimes.write, flush: 500 * time.Millisecond, close: 500 * time.Millisecond, linger: time.Second,
	look: 200 * time.Millisecond, lookBytes: defaultTimes.lookBytes,
}

// wait bounds an end that brisk times hold up.
var wait = brisk.flush + brisk.close + brisk.linger + time.Second

var kinds = []string{"tcp", "tls", "unix", "wrapped"}

// wrapped hides what a connection is, as the wrappers of other modules do.
type wrapped struct{ Conn }

var testCert = sync.OnceValue(func() tls.Certificate { return certtest.SelfSigned("localhost") })

// cheap is the key exchange of tests, which make thousands of connections.
var cheap = []tls.CurveID{tls.CurveP256}

// connect returns both ends of a connection: a peer's, and the one that a relay gets.
func connect(t testing.TB, kind string) (peer, inner Conn) {
	t.Helper()
	network, addr := "tcp", "127.0.0.1:0"
	if kind == "unix" {
		network, addr = "unix", filepath.Join(t.TempDir(), "s")
	}
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	c, err := net.Dial(network, ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := <-accepted
	if s == nil {
		t.FailNow()
	}
	t.Cleanup(func() { _, _ = c.Close(), s.Close() })
	switch kind {
	case "tls":
		client := tls.Client(c, &tls.Config{InsecureSkipVerify: true, CurvePreferences: cheap})
		server := tls.Server(s, &tls.Config{Certificates: []tls.Certificate{testCert()}, CurvePreferences: cheap})
		done := make(chan error, 1)
		go func() { done <- server.Handshake() }()
		if err := errors.Join(client.Handshake(), <-done); err != nil {
			t.Fatal(err)
		}
		return client, server
	case "wrapped":
		return c.(Conn), wrapped{s.(Conn)}
	}
	return c.(Conn), s.(Conn)
}

// rig is a relay between two peers.
type rig struct {
	*Relay
	t        testing.TB
	client   *peer
	upstream *peer
	gone     chan struct{} // closed by OnClose
	closes   atomic.Int32
}

type peer struct {
	Conn
	t    testing.TB
	name string
	br   *bufio.Reader
	mask bool // what it sends
}

func (r *rig) onClose(also func()) func() {
	return func() {
		if also != nil {
			also()
		}
		if r.closes.Add(1) == 1 {
			close(r.gone)
		}
	}
}

// newRig makes a relay that has not begun.
func newRig(t testing.TB, clientKind, upKind string, o Options, earlyDown, earlyUp []byte) *rig {
	t.Helper()
	client, down := connect(t, clientKind)
	upstream, up := connect(t, upKind)
	r := &rig{
		t: t, gone: make(chan struct{}),
		client:   &peer{Conn: client, t: t, name: "client", br: bufio.NewReader(client), mask: true},
		upstream: &peer{Conn: upstream, t: t, name: "upstream", br: bufio.NewReader(upstream)},
	}
	o.OnClose = r.onClose(o.OnClose)
	r.Relay = New(up, earlyUp, o)
	r.SetDownstream(down, earlyDown)
	return r
}

func startRig(t testing.TB, kind string, o Options) *rig {
	t.Helper()
	r := newRig(t, kind, kind, o, nil, nil)
	r.Start()
	return r
}

// within waits for ch and returns how long that took.
func within(t testing.TB, d time.Duration, what string, ch <-chan struct{}) time.Duration {
	t.Helper()
	start := time.Now()
	select {
	case <-ch:
	case <-time.After(d):
		t.Fatalf("%s: not within %v", what, d)
	}
	return time.Since(start)
}

// over expects the relay to be closed soon, once.
func (r *rig) over(d time.Duration) {
	r.t.Helper()
	within(r.t, d, "the end of the relay", r.gone)
	if n := r.closes.Load(); n != 1 {
		r.t.Fatalf("OnClose was called %d times", n)
	}
}

func (p *peer) send(b ...[]byte) {
	p.t.Helper()
	_ = p.SetWriteDeadline(time.Now().Add(patience))
	if _, err := p.Write(join(b...)); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

func (p *peer) say(s string) { p.t.Helper(); p.send(text(p.mask, s)) }

type got struct {
	op      byte
	fin     bool
	payload []byte
}

// frame reads one frame, which must be masked as what the relay sends to such a peer is.
func (p *peer) frame() (got, error) {
	_ = p.SetReadDeadline(time.Now().Add(patience))
	var h [2]byte
	if _, err := io.ReadFull(p.br, h[:]); err != nil {
		return got{}, err
	}
	g := got{op: h[0] & 15, fin: h[0]&finBit != 0}
	inside := func(err error) error { return fmt.Errorf("inside a frame: %w", errors.Join(io.ErrUnexpectedEOF, err)) }
	if h[0]&0x70 != 0 || h[1]&maskBit != 0 == p.mask {
		return g, fmt.Errorf("strange header % x", h)
	}
	length := uint64(h[1] &^ maskBit)
	if ext := map[uint64]int{126: 2, 127: 8}[length]; ext > 0 {
		var b [8]byte
		if _, err := io.ReadFull(p.br, b[8-ext:]); err != nil {
			return g, inside(err)
		}
		length = binary.BigEndian.Uint64(b[:])
	}
	var key [4]byte
	if !p.mask {
		if _, err := io.ReadFull(p.br, key[:]); err != nil {
			return g, inside(err)
		}
	}
	if length > 1<<24 {
		return g, fmt.Errorf("a frame of %d bytes", length)
	}
	g.payload = make([]byte, length)
	if _, err := io.ReadFull(p.br, g.payload); err != nil {
		return g, inside(err)
	}
	for i := range g.payload {
		g.payload[i] ^= key[i%4]
	}
	return g, nil
}

// hears expects a message in one frame.
func (p *peer) hears(want string) {
	p.t.Helper()
	p.takes(opText, []byte(want))
}

func (p *peer) takes(op byte, want []byte) {
	p.t.Helper()
	g, err := p.frame()
	if err != nil || g.op != op || !bytes.Equal(g.payload, want) {
		p.t.Fatalf("%s: got opcode %d, %.80q, %v; want opcode %d, %.80q", p.name, g.op, g.payload, err, op, want)
	}
}

// told expects a close frame of ours.
func (p *peer) told(code CloseCode) {
	p.t.Helper()
	p.takes(opClose, CloseFrame(code, false)[2:])
}

// departs hangs up when it is told, or nothing more comes.
func (p *peer) departs() {
	for {
		if g, err := p.frame(); err != nil || g.op == opClose {
			_ = p.Close()
			return
		}
	}
}

// ended expects the end of the stream, between two frames.
func (p *peer) ended() {
	p.t.Helper()
	if g, err := p.frame(); !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		p.t.Fatalf("%s: got opcode %d, %.80q, %v; want the end", p.name, g.op, g.payload, err)
	}
}

// answers is what a peer does about a close frame: it sends one back, and then the server ends first.
func (p *peer) answers() {
	p.t.Helper()
	p.send(frame(fin, opClose, p.mask, []byte{3, 233}))
	if p.mask {
		p.ended()
	}
	_ = p.Close()
}

// waits expects nothing, not even the end of the stream, for as long as a busy machine takes to show it.
func (p *peer) waits() {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if b, err := p.br.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatalf("%s: got % x, %v before it has answered the close frame", p.name, b, err)
	}
}

// leaves says goodbye and goes at once.
func (p *peer) leaves() {
	p.t.Helper()
	p.send(frame(fin, opClose, p.mask, []byte{3, 233}))
	_ = p.Close()
}

// bottom returns the connection that everything goes over in the end.
func bottom(c Conn) Conn {
	switch c := c.(type) {
	case *tls.Conn:
		return c.NetConn().(Conn)
	case wrapped:
		return c.Conn
	}
	return c
}

// reset ends a connection in the way of a crash.
func (p *peer) reset() {
	c := bottom(p.Conn)
	if c, ok := c.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	_ = c.Close()
}

// drain reads until the connection ends, and closes it.
func (p *peer) drain() {
	_ = p.SetReadDeadline(time.Now().Add(3 * patience))
	_, _ = io.Copy(io.Discard, p.br)
	_ = p.Close()
}

// clog writes until the peer's side takes nothing more.
func (p *peer) clog(b []byte) {
	p.t.Helper()
	for {
		_ = p.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		if _, err := p.Write(b); errors.Is(err, os.ErrDeadlineExceeded) {
			return
		} else if err != nil {
			p.t.Fatalf("%s: %v", p.name, err)
		}
	}
}

// heapInUse is what the whole process holds, so tests that look at it are not parallel.
func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// eventually waits for a state that nothing announces.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !f(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// flow returns a direction of a WebSocket.
func (r *rig) flow(p *pump) *frameFlow { return r.framing.(*frameStream).flow(p) }

// awaits waits until a close frame waits behind the frame under way.
func (r *rig) awaits(p *pump) {
	r.t.Helper()
	eventually(r.t, "a close frame that waits", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return r.flow(p).flushed != nil
	})
}

// inside waits until a pump is in the middle of a frame.
func (r *rig) inside(p *pump) {
	r.t.Helper()
	eventually(r.t, "a frame under way", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return !r.flow(p).boundary()
	})
}
