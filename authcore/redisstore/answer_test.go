//go:build linux

package redisstore

import (
	"io"
	"math"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/internal/redistest"
)

// TestAnswerLost: a call whose answer is lost, though it was carried out, fails. Sent again, it would say what is no
// longer so: that nobody ended the session, that the ID was taken, or that two attempts were made.
func TestAnswerLost(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	direct := fresh(Options{URLs: []string{server.URL()}, Now: time.Now})
	sure := open(t, direct)
	var lose atomic.Bool
	lossy := direct
	lossy.URLs = []string{"redis://" + proxy(t, server.Addr, &lose)}
	client, err := lossy.client()
	must(t, err)
	s := &Store{o: lossy, client: client}
	t.Cleanup(func() { _ = s.Close() })
	ctx := t.Context()
	b := authcore.Backoff{Free: 3, Base: time.Hour, Max: time.Hour}
	lost := func(what string, call func() error) {
		t.Helper()
		must(t, s.Ping(ctx)) // over a connection that is good until now
		lose.Store(true)
		err := call()
		lose.Store(false)
		if err == nil || hasKind(err) {
			t.Errorf("%s: the answer was lost, and it says %v", what, err)
		}
	}
	n := newSession("account")
	// Once undisturbed, so that the server knows the scripts.
	other := newSession("account")
	must(t, s.CreateSession(ctx, other))
	_, err = s.RotateSession(ctx, other.Account, other.ID, 1, rotation)
	must(t, err)
	_, err = s.EndSessions(ctx, "account", math.MaxInt64, "")
	must(t, err)
	_, err = s.Attempt(ctx, authcore.LimitAccount, "another", b)
	must(t, err)

	lost("CreateSession", func() error { return s.CreateSession(ctx, n) })
	_, err = sure.Session(ctx, n.Account, n.ID)
	must(t, err)
	lost("RotateSession", func() error { _, err := s.RotateSession(ctx, n.Account, n.ID, n.Generation, rotation); return err })
	for range 2 { // it was moved, once, and whoever asks again has the predecessor
		got, err := sure.RotateSession(ctx, n.Account, n.ID, n.Generation, rotation)
		if err != nil || got.Generation != n.Generation+1 {
			t.Errorf("a rotation whose answer was lost: generation %d, %v", got.Generation, err)
		}
	}
	lost("EndSession", func() error { _, err := s.EndSession(ctx, n.Account, n.ID); return err })
	must(t, sure.CreateSession(ctx, n)) // it was ended
	lost("EndSessions", func() error { _, err := s.EndSessions(ctx, n.Account, math.MaxInt64, ""); return err })
	must(t, sure.CreateSession(ctx, n))
	lost("Attempt", func() error { _, err := s.Attempt(ctx, authcore.LimitAccount, "key", b); return err })
	for i := range 3 { // one of three is gone, no more
		wait, err := sure.Attempt(ctx, authcore.LimitAccount, "key", b)
		must(t, err)
		if (wait > 0) != (i == 2) {
			t.Errorf("attempt %d after the lost one: told to wait %v", i+1, wait)
		}
	}
	must(t, s.Ping(ctx))
}

// proxy passes on what clients send, and closes the connection in place of an answer as long as lose is set.
func proxy(t *testing.T, server string, lose *atomic.Bool) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	serve := func(client net.Conn) {
		defer client.Close()
		upstream, err := net.Dial("tcp", server)
		if err != nil {
			return
		}
		defer upstream.Close()
		go func() { _, _ = io.Copy(upstream, client) }()
		buf := make([]byte, 1<<16)
		for {
			k, err := upstream.Read(buf)
			if err != nil {
				return
			}
			// The greeting of a new connection is let through, so that a command sent again would arrive.
			if lose.Load() && !strings.Contains(string(buf[:k]), "proto") {
				return
			}
			if _, err := client.Write(buf[:k]); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go serve(client)
		}
	}()
	return l.Addr().String()
}
