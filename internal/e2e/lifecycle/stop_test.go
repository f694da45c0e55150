package lifecycle

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/streamtest"
)

// DEP-07: 300 sockets, of which a fifth does nothing for its own end, and SIGTERM.
func TestStop(t *testing.T) {
	up := gatetest.NewUpstream(t, func(u *gatetest.Upstream, c net.Conn, br *bufio.Reader, head string) {
		if !strings.Contains(head, "/flood") {
			echo(u, c, br, head)
			return
		}
		_, err := io.WriteString(c, gatetest.Accept(head))
		frame := gatetest.Frame{Fin: true, Op: 2, Payload: make([]byte, 60<<10)}.Encode(false)
		for err == nil {
			_, err = c.Write(frame)
		}
	})
	g := gatetest.Start(t, plain{upstream: up.Addr}.String(), withStreams)
	gatetest.AwaitCertificate(t, g.HTTPS)
	g.Register("alice", password)
	tok := g.Login("alice", password)
	as := func(i int) string {
		if i%2 == 0 {
			return ""
		}
		return tok
	}
	var socks []*sock
	for i := range 90 {
		socks = append(socks, talk(t, g, fmt.Sprintf("clear %d", i), false, as(i)), talk(t, g, fmt.Sprintf("TLS %d", i), true, as(i)))
	}
	c := streamtest.DialHTTP2(t, g.HTTPS)
	keep := func(c net.Conn, _ *bufio.Reader, err error) net.Conn {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	for i := range 60 {
		conn, br, err := c.Open(path, as(i))
		keep(conn, br, err)
		socks = append(socks, talkOver(t, fmt.Sprintf("HTTP/2 %d", i), as(i) != "", conn, br))
	}
	// They read and say nothing at all, or do not even read, while much is sent to them.
	var mute []*bufio.Reader
	for i := range 5 {
		for _, overTLS := range []bool{false, true} {
			conn, br, err := open(g, overTLS, as(i))
			keep(conn, br, err)
			mute = append(mute, br)
			keep(openAt(g, overTLS, "/flood", as(i)))
			keep(openAt(g, overTLS, "/flood", as(i)))
		}
		conn, br, err := c.Open(path, as(i))
		keep(conn, br, err)
		mute = append(mute, br)
		deaf := streamtest.DialHTTP2(t, g.HTTPS) // a connection of its own: its flow control is for all of its streams
		for range 5 {
			keep(deaf.Open("/flood", as(i)))
		}
	}
	alive(t, socks)
	gatetest.Eventually(t, "300 connections at the upstream", func() bool { return up.Open() == 300 })

	took := g.Stop()
	t.Logf("ended after %v", took)
	if code := g.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	closedWith(t, socks, 1012)
	for i, br := range mute {
		if f, err := gatetest.ReadFrame(br); err != nil || f.CloseCode() != 1012 {
			t.Errorf("mute %d: %+v, %v", i, f, err)
		}
	}
	gatetest.Eventually(t, "the upstream to be rid of all", func() bool { return up.Open() == 0 })
	if took > 25*time.Second {
		t.Errorf("it took %v", took)
	}
}

// A stop in the middle of a message ends the process, too, and cuts no frame in two with a close frame.
func TestStopInsideFrame(t *testing.T) {
	up := gatetest.NewUpstream(t, func(_ *gatetest.Upstream, c net.Conn, br *bufio.Reader, head string) {
		io.WriteString(c, gatetest.Accept(head))
		frame := gatetest.Frame{Fin: true, Op: 1, Payload: []byte(strings.Repeat("y", 1000))}.Encode(false)
		c.Write(frame[:500])
		io.Copy(io.Discard, br)
	})
	g := gatetest.Start(t, plain{upstream: up.Addr}.String())
	c := g.WebSocket(path, "")
	_ = c.SetReadDeadline(time.Now().Add(patience))
	half := make([]byte, 500)
	if _, err := io.ReadFull(c.R, half); err != nil {
		t.Fatal(err)
	}
	g.Stop()
	if code := g.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if rest, _ := io.ReadAll(c.R); len(rest) > 0 {
		t.Errorf("inside a frame came %q", rest)
	}
}
