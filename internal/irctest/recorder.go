//go:build linux

package irctest

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// Recorder stands before a server, and knows every byte that it was sent.
type Recorder struct {
	Addr string // host:port

	mu   sync.Mutex
	sent []*strings.Builder // by connection
}

// Record makes one that stands before a server, until the test is over.
func Record(t testing.TB, s *Server) *Recorder {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	r := &Recorder{Addr: ln.Addr().String()}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go r.carry(c.(*net.TCPConn), s.Addr)
		}
	}()
	return r
}

func (r *Recorder) carry(down *net.TCPConn, addr string) {
	defer down.Close()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer c.Close()
	up := c.(*net.TCPConn)
	var sent strings.Builder
	r.mu.Lock()
	r.sent = append(r.sent, &sent)
	r.mu.Unlock()
	go func() {
		_, _ = io.Copy(io.MultiWriter(recording{r, &sent}, up), down) // recorded before the server can answer it
		_ = up.CloseWrite()
	}()
	_, _ = io.Copy(down, up)
}

// recording is one connection's.
type recording struct {
	*Recorder
	to *strings.Builder
}

func (w recording) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(b)
}

// Sent returns what the server was sent on the connection that is the last one.
func (r *Recorder) Sent() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.sent) == 0 {
		return ""
	}
	return r.sent[len(r.sent)-1].String()
}
