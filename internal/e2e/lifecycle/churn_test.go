package lifecycle

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
)

func rss(g *gatetest.Gateway) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", g.Pid()))
	if err != nil {
		return 0
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// TestConnectionsComeAndGo makes many connections of every kind and sees that none leaves anything behind.
func TestConnectionsComeAndGo(t *testing.T) {
	const batch = 500
	batches := 20
	if gatetest.Race {
		batches = 2 // each takes many times as long
	}
	up := gatetest.NewUpstream(t, echo)
	g := gatetest.Start(t, plain{upstream: up.Addr}.String())
	gatetest.AwaitCertificate(t, g.HTTPS)
	g.Register("alice", password)
	tok := g.Login("alice", password)
	run := func() {
		t.Helper()
		errs := make(chan error, batch)
		slots := make(chan bool, 64)
		var wg sync.WaitGroup
		for i := range batch {
			slots <- true
			wg.Go(func() {
				defer func() { <-slots }()
				if err := visit(g, i, tok); err != nil {
					errs <- fmt.Errorf("kind %d: %w", i%kinds, err)
				}
			})
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			t.Error(err)
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	settle := func() gatetest.Usage {
		var u gatetest.Usage
		// An end that came together with data is found a few seconds later.
		gatetest.Eventually(t, "the upstream to be rid of all", func() bool { return up.Open() == 0 })
		gatetest.Eventually(t, "the end of all pumps", func() bool {
			// Twice, since asking is itself a connection.
			u = g.Usage()
			u = g.Usage()
			return !strings.Contains(g.Goroutines(), "chatroom/relay.(*pump)")
		})
		return u
	}
	run() // what a first use makes stays
	base := settle()
	for range batches {
		run()
	}
	var now gatetest.Usage
	gatetest.Eventually(t, "goroutines and descriptors as before", func() bool {
		now = settle()
		return now.Goroutines <= base.Goroutines+15 && now.FDs <= base.FDs+15
	})
	t.Logf("%d connections: %+v, then %+v", batches*batch, base, now)
	if !gatetest.Race && now.RSS > base.RSS+60<<20 {
		t.Errorf("memory grew from %d to %d MiB", base.RSS>>20, now.RSS>>20)
	}
	g.Stop()
	if !strings.Contains(g.Log(), `"msg":"closing live connections","connections":0`) {
		t.Error("some connections are still held to be live")
	}
}

const kinds = 10

// visit is one connection of some kind.
func visit(g *gatetest.Gateway, i int, tok string) error {
	overTLS := i/kinds%4 == 0
	addr := g.HTTP
	if overTLS {
		addr = g.HTTPS
	}
	as := tok
	if i/kinds%2 == 0 {
		as = ""
	}
	switch i % kinds {
	case 0: // gone without a word
		c, err := connect(addr, overTLS)
		if err == nil {
			c.Close()
		}
		return err
	case 1: // gone in the middle of the request
		c, err := connect(addr, overTLS)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = io.WriteString(c, gatetest.Handshake(addr, path)[:60])
		return err
	case 2: // gone before the answer
		c, err := connect(addr, overTLS)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = io.WriteString(c, gatetest.Handshake(addr, path))
		return err
	case 3: // refused
		head, sig, _ := strings.Cut(tok, ".")
		c, _, err := open(g, overTLS, head+"."+strings.ToUpper(sig))
		if err == nil {
			c.Close()
			return fmt.Errorf("a bad token was taken")
		}
		if !strings.Contains(err.Error(), "401") {
			return err
		}
		return nil
	}
	c, br, err := open(g, overTLS, as)
	if err != nil {
		return err
	}
	defer c.Close()
	send := func(f gatetest.Frame) error {
		_, err := c.Write(f.Encode(true))
		return err
	}
	expect := func(op byte, code int) error {
		f, err := gatetest.ReadFrame(br)
		if err == nil && (f.Op != op || f.CloseCode() != code) {
			err = fmt.Errorf("wanted op %d, code %d; got %+v", op, code, f)
		}
		return err
	}
	ping := gatetest.Frame{Fin: true, Op: 9, Payload: []byte("ping")}
	switch i % kinds {
	case 4: // a clean close
		if err := send(gatetest.Frame{Fin: true, Op: 8, Payload: []byte{3, 232}}); err != nil {
			return err
		}
		return expect(8, 1000)
	case 5: // reset
		if tc, ok := c.(*net.TCPConn); ok {
			_ = tc.SetLinger(0)
		}
		return send(ping)
	case 6: // a violation
		if as != "" {
			if err := send(gatetest.Frame{Fin: true, Op: 3}); err != nil {
				return err
			}
			return expect(8, 1002)
		}
		if err := send(gatetest.Text("hello")); err != nil {
			return err
		}
		return expect(8, 1008)
	case 7: // in the middle of a frame
		_, err := c.Write(gatetest.Text(strings.Repeat("x", 1000)).Encode(true)[:700])
		return err
	}
	for range 3 { // some talk, and gone
		if err := send(ping); err != nil {
			return err
		}
		if err := expect(10, 0); err != nil {
			return err
		}
	}
	_ = c.SetDeadline(time.Now())
	return nil
}
