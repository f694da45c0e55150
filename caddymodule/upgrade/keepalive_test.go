package upgrade

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/chatgate/chatgate/chatroom/relay"
	"github.com/chatgate/chatgate/internal/certtest"
)

// idle is QUIC's idle time in these tests.
const idle = time.Second

// serveHTTP3 accepts extended CONNECTs and hands them over, until the test ends. Handlers return at once.
func serveHTTP3(t *testing.T) (addr string, accepted <-chan relay.Conn) {
	t.Helper()
	cert := certtest.NewAuthority(t, t.TempDir()).Issue(t, "server", "127.0.0.1").TLS
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan relay.Conn, 10)
	srv := &http3.Server{
		TLSConfig:  http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{cert}}),
		QUICConfig: &quic.Config{MaxIdleTimeout: idle},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a, err := Accept(w, r)
			if err != nil || a.Bound || len(a.Early) > 0 {
				t.Errorf("%+v, %v", a, err)
				return
			}
			conns <- a.Conn
		}),
	}
	var served sync.WaitGroup
	served.Go(func() { _ = srv.Serve(pc) })
	t.Cleanup(func() {
		_ = srv.Close()
		_ = pc.Close()
		served.Wait()
	})
	return pc.LocalAddr().String(), conns
}

// connectHTTP3 opens a stream on a connection of its own.
func connectHTTP3(t *testing.T, addr string) *http3.RequestStream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := quic.DialAddr(ctx, addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{http3.NextProtoH3}}, &quic.Config{MaxIdleTimeout: idle})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseWithError(0, "") })
	client := (&http3.Transport{}).NewClientConn(conn)
	<-client.ReceivedSettings()
	str, err := client.OpenRequestStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := str.SendRequestHeader(&http.Request{Method: http.MethodConnect, Proto: "websocket", Host: "chat.test", URL: &url.URL{Scheme: "https", Host: "chat.test", Path: "/"}}); err != nil {
		t.Fatal(err)
	}
	if resp, err := str.ReadResponse(); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	return str
}

func TestKeepsStreamsAwake(t *testing.T) {
	was := quiet.every
	quiet.every = idle / 4
	defer func() { quiet.every = was }()
	addr, accepted := serveHTTP3(t)
	str := connectHTTP3(t, addr)
	c := <-accepted
	time.Sleep(4 * idle)

	// What kept the stream awake is nothing that a reader of either side gets.
	pass := func(w io.Writer, r io.Reader, text string) {
		t.Helper()
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		if n, err := r.Read(b); err != nil || string(b[:n]) != text {
			t.Fatalf("got %q, %v; want %q", b[:n], err, text)
		}
	}
	_ = str.SetDeadline(time.Now().Add(time.Minute))
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	pass(c, str, "from the server")
	pass(str, c, "from the client")

	// One end is over before the other.
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("more")); err == nil {
		t.Error("wrote behind the end")
	}
	if b, err := io.ReadAll(str); len(b) > 0 || err != nil {
		t.Errorf("the client read %q, %v", b, err)
	}
	pass(str, c, "a last word")
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	quiet.mu.Lock()
	defer quiet.mu.Unlock()
	if len(quiet.streams) > 0 || quiet.alarm != nil {
		t.Errorf("still watched: %v", quiet.streams)
	}
}

// TestWakeDoesNotWait: a client that takes nothing holds nobody else up.
func TestWakeDoesNotWait(t *testing.T) {
	addr, accepted := serveHTTP3(t)
	connectHTTP3(t, addr)
	c := (<-accepted).(*http3Stream)
	defer c.Close()
	_ = c.SetWriteDeadline(time.Now().Add(idle / 2))
	for err := error(nil); err == nil; {
		_, err = c.Write(make([]byte, 1<<20)) // until its windows are full
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 10_000 {
			c.wrote.Store(false)
			c.wake()
		}
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("the keeper waits for a client")
	}
}
