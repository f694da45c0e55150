package tcptest

import (
	"net"
	"sync"
	"testing"
)

// Serve listens on a loopback port until the test ends, and serves each connection in a goroutine. A connection is closed
// when serve returns or the test ends, which waits for every serve to return.
func Serve(t testing.TB, serve func(net.Conn)) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{serve: serve, open: make(map[net.Conn]bool)}
	s.running.Go(func() { s.accept(ln) })
	t.Cleanup(func() {
		_ = ln.Close()
		s.close()
		s.running.Wait()
	})
	return ln.Addr().String()
}

type server struct {
	serve   func(net.Conn)
	running sync.WaitGroup // accept, and every call of serve

	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
}

func (s *server) accept(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		s.running.Go(func() {
			defer s.drop(c)
			if s.keep(c) {
				s.serve(c)
			}
		})
	}
}

// keep notes an open connection. It returns false after close.
func (s *server) keep(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[c] = true
	return !s.closed
}

func (s *server) drop(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
	_ = c.Close()
}

// close closes every connection, and those that are accepted later.
func (s *server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.open {
		_ = c.Close()
	}
}
