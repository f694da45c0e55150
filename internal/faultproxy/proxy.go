package faultproxy

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Direction is one of the two ways through a proxy.
type Direction int

// The directions.
const (
	ToServer Direction = iota
	ToClient
)

// Proxy passes TCP connections on to one server. A fault replaces the one before it, and holds for open connections
// and new ones alike.
type Proxy struct {
	Addr string // to connect to, 127.0.0.1:port; it stays the same, whatever happens

	target string
	ln     net.Listener
	ctx    context.Context // of everything that runs
	stop   context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	fault   fault
	changed chan struct{} // closed when fault is replaced
	links   map[*link]struct{}

	accepted, refused atomic.Int64
	bytes             [2]atomic.Int64
}

type fault struct {
	cut         bool
	hang        [2]bool
	least, most time.Duration // of the delay of what is read in one go
}

// Stats are the counters of a proxy since its start.
type Stats struct {
	Conns    int64 // that were accepted, and passed on or held
	Refused  int64 // that came while it was cut, or when the server could not be reached
	ToServer int64 // bytes that were delivered
	ToClient int64
}

// Bytes returns what was delivered, both ways.
func (s Stats) Bytes() int64 { return s.ToServer + s.ToClient }

// New makes a proxy to target, a host:port, and closes it when the test is over.
func New(t testing.TB, target string) *Proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: ln.Addr().String(), target: target, ln: ln, changed: make(chan struct{}), links: make(map[*link]struct{})}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.wg.Go(p.serve)
	t.Cleanup(p.Close)
	return p
}

// Cut resets every connection, and every new one at once.
func (p *Proxy) Cut() { p.set(fault{cut: true}) }

// Hang accepts connections and delivers nothing in the given directions, in both if none is given. What is held back
// is delivered after Heal.
func (p *Proxy) Hang(dirs ...Direction) {
	f := fault{hang: [2]bool{len(dirs) == 0, len(dirs) == 0}}
	for _, d := range dirs {
		f.hang[d] = true
	}
	p.set(f)
}

// Delay holds what it delivers, each time for a random while between the two.
func (p *Proxy) Delay(least, most time.Duration) { p.set(fault{least: least, most: most}) }

// Heal ends the fault.
func (p *Proxy) Heal() { p.set(fault{}) }

// Close resets every connection, and returns when nothing of the proxy runs any more.
func (p *Proxy) Close() {
	p.stop()
	_ = p.ln.Close()
	p.set(fault{cut: true})
	p.wg.Wait()
}

// Stats returns the current counters.
func (p *Proxy) Stats() Stats {
	return Stats{p.accepted.Load(), p.refused.Load(), p.bytes[ToServer].Load(), p.bytes[ToClient].Load()}
}

func (p *Proxy) set(f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
	close(p.changed)
	p.changed = make(chan struct{})
	if f.cut {
		for l := range p.links {
			l.reset()
		}
	}
}

func (p *Proxy) serve() {
	for {
		c, err := p.ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue // the client was gone before it was accepted
		}
		l := &link{p: p, client: c}
		l.ctx, l.end = context.WithCancel(p.ctx)
		p.mu.Lock()
		cut := p.fault.cut || p.ctx.Err() != nil
		if !cut {
			p.links[l] = struct{}{}
		}
		p.mu.Unlock()
		if cut {
			p.refused.Add(1)
			l.reset()
			continue
		}
		p.accepted.Add(1)
		p.wg.Go(l.run)
	}
}

// link is one connection and its other half.
type link struct {
	p      *Proxy
	ctx    context.Context
	end    context.CancelFunc
	client net.Conn

	mu     sync.Mutex
	server net.Conn // nil until it was dialled
	over   bool
}

// reset ends both halves the hard way.
func (l *link) reset() {
	l.end()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	for _, c := range []net.Conn{l.client, l.server} {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
			_ = tcp.Close()
		}
	}
}

func (l *link) run() {
	defer func() {
		l.p.mu.Lock()
		delete(l.p.links, l)
		l.p.mu.Unlock()
		l.end()
	}()
	if !l.pass(ToServer) { // a connection request is something that is delivered, too
		l.reset()
		return
	}
	d := net.Dialer{Timeout: 10 * time.Second}
	server, err := d.DialContext(l.ctx, "tcp", l.p.target)
	if err != nil {
		l.p.refused.Add(1)
		l.reset()
		return
	}
	l.mu.Lock()
	l.server = server
	over := l.over
	l.mu.Unlock()
	if over {
		_ = server.Close()
		return
	}
	var back sync.WaitGroup
	back.Go(func() { l.pump(ToClient, l.client, server) })
	l.pump(ToServer, server, l.client)
	back.Wait()
	_ = l.client.Close()
	_ = server.Close()
}

// pump carries one direction until its end, which it passes on.
func (l *link) pump(dir Direction, dst, src net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		if !l.pass(dir) {
			l.reset()
			return
		}
		if n > 0 {
			if _, werr := dst.Write(buf[:n]); werr != nil {
				l.reset()
				return
			}
			l.p.bytes[dir].Add(int64(n))
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			_ = dst.(*net.TCPConn).CloseWrite()
			return
		default:
			l.reset()
			return
		}
	}
}

// pass waits until something may be delivered, and reports false if the link is over instead.
func (l *link) pass(dir Direction) bool {
	delayed := false
	for {
		l.p.mu.Lock()
		f, changed := l.p.fault, l.p.changed
		l.p.mu.Unlock()
		var later <-chan time.Time
		switch {
		case f.cut || l.ctx.Err() != nil:
			return false
		case f.hang[dir]:
		case f.most > 0 && !delayed:
			delay := f.least + rand.N(f.most-f.least+1) //nolint:gosec // a delay is no secret
			later = time.After(delay)
		default:
			return true
		}
		select {
		case <-later:
			delayed = true
		case <-changed:
		case <-l.ctx.Done():
		}
	}
}
