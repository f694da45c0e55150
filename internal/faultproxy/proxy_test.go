package faultproxy_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chatgate/chatgate/internal/faultproxy"
	"github.com/chatgate/chatgate/internal/tcptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// echoServer answers every line with itself, and its client's end of the stream with "bye" and its own.
func echoServer(t *testing.T) (addr string, heard func() int) {
	t.Helper()
	var mu sync.Mutex
	lines := 0
	addr = tcptest.Serve(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		for {
			line, err := br.ReadString('\n')
			if err != nil {
				io.WriteString(c, "bye")
				return
			}
			mu.Lock()
			lines++
			mu.Unlock()
			io.WriteString(c, line)
		}
	})
	return addr, func() int {
		mu.Lock()
		defer mu.Unlock()
		return lines
	}
}

type client struct {
	*net.TCPConn
	br *bufio.Reader
	t  *testing.T
}

func dial(t *testing.T, p *faultproxy.Proxy) *client {
	t.Helper()
	c, err := net.DialTimeout("tcp", p.Addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return &client{c.(*net.TCPConn), bufio.NewReader(c), t}
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) expect(want string) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if got, err := c.br.ReadString('\n'); err != nil || got != want+"\n" {
		c.t.Fatalf("got %q, %v; want %q", got, err, want)
	}
}

// silent fails the test if anything comes within a moment. That moment can only hide a fault, not make one up.
func (c *client) silent() {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if b, err := c.br.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("got %q, %v; want silence", b, err)
	}
}

func (c *client) expectReset() {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if b, err := c.br.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
		c.t.Fatalf("got %q, %v; want a reset", b, err)
	}
}

// dialInVain connects and expects a reset, which may come before the dial returns.
func dialInVain(t *testing.T, p *faultproxy.Proxy) {
	t.Helper()
	c, err := net.DialTimeout("tcp", p.Addr, patience)
	switch {
	case err == nil:
		defer c.Close()
		(&client{c.(*net.TCPConn), bufio.NewReader(c), t}).expectReset()
	case !errors.Is(err, syscall.ECONNRESET):
		t.Fatal(err)
	}
}

func TestPassAndCount(t *testing.T) {
	addr, _ := echoServer(t)
	p := faultproxy.New(t, addr)
	c := dial(t, p)
	c.send("hello")
	c.expect("hello")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(c.br); err != nil || string(rest) != "bye" {
		t.Fatalf("after the half-close: %q, %v", rest, err)
	}
	// The last of the counts follows the last byte.
	want := faultproxy.Stats{Conns: 1, ToServer: 6, ToClient: 9}
	await(t, func() bool { return p.Stats() == want })
	if n := p.Stats().Bytes(); n != 15 {
		t.Errorf("%d bytes", n)
	}
}

func TestCut(t *testing.T) {
	addr, heard := echoServer(t)
	p := faultproxy.New(t, addr)
	c := dial(t, p)
	c.send("one")
	c.expect("one")
	p.Cut()
	c.expectReset()
	dialInVain(t, p)
	await(t, func() bool { return p.Stats().Refused == 1 })
	p.Heal()
	c = dial(t, p)
	c.send("two")
	c.expect("two")
	if heard() != 2 {
		t.Errorf("the server heard %d lines", heard())
	}
}

func TestHang(t *testing.T) {
	addr, heard := echoServer(t)
	for _, tc := range []struct {
		name    string
		dirs    []faultproxy.Direction
		arrives bool // at the server
	}{
		{"both", nil, false},
		{"to the server", []faultproxy.Direction{faultproxy.ToServer}, false},
		{"to the client", []faultproxy.Direction{faultproxy.ToClient}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := faultproxy.New(t, addr)
			old := dial(t, p)
			old.send("before")
			old.expect("before")
			before := heard()
			p.Hang(tc.dirs...)
			fresh := dial(t, p)
			old.send("old")
			fresh.send("fresh")
			if tc.arrives {
				await(t, func() bool { return heard() == before+2 })
			}
			old.silent()
			fresh.silent()
			if !tc.arrives && heard() != before {
				t.Errorf("the server heard %d lines", heard()-before)
			}
			p.Heal()
			old.expect("old")
			fresh.expect("fresh")
		})
	}
}

func TestHangThenCut(t *testing.T) {
	addr, _ := echoServer(t)
	p := faultproxy.New(t, addr)
	c := dial(t, p)
	p.Hang()
	c.send("lost")
	p.Cut()
	c.expectReset()
}

func TestDelay(t *testing.T) {
	addr, _ := echoServer(t)
	p := faultproxy.New(t, addr)
	const delay = 50 * time.Millisecond
	p.Delay(delay, 2*delay)
	c := dial(t, p)
	start := time.Now()
	c.send("slow")
	c.expect("slow")
	if took := time.Since(start); took < 2*delay {
		t.Errorf("a round trip took %v, with %v each way", took, delay)
	}
	p.Delay(time.Hour, time.Hour)
	c.send("healed")
	c.silent()
	p.Heal()
	c.expect("healed")
}

// A server that cannot be reached is as a cut one.
func TestServerGone(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	p := faultproxy.New(t, ln.Addr().String())
	dialInVain(t, p)
	if s := p.Stats(); s.Refused != 1 {
		t.Errorf("%+v", s)
	}
}

func TestCloseUnderLoad(t *testing.T) {
	addr, _ := echoServer(t)
	p := faultproxy.New(t, addr)
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for {
				c, err := net.DialTimeout("tcp", p.Addr, patience)
				if err != nil {
					return
				}
				_ = c.SetDeadline(time.Now().Add(patience))
				io.WriteString(c, strings.Repeat("x", 1000)+"\n")
				io.Copy(io.Discard, io.LimitReader(c, 1))
				c.Close()
			}
		})
	}
	for range 20 {
		p.Cut()
		p.Heal()
		p.Hang()
		p.Delay(0, time.Millisecond)
	}
	p.Close()
	p.Close()
	clients.Wait()
}

func await(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}
