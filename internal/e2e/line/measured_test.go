//go:build linux

package line

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// measured is for tests that measure memory, of which the race detector takes many times as much. test.sh runs them
// without it: their names end in Measured.
func measured(t *testing.T) {
	if gatetest.Race {
		t.Skip("the race detector takes memory of its own")
	}
}

// strangers connects n clients, 16 at a time, from as many addresses as it takes for each to have its share, and does
// with each what is to be done.
func (h *house) strangers(n int, overTLS bool, do func(i int, c net.Conn)) {
	h.t.Helper()
	const share = 200 // of 256
	var all sync.WaitGroup
	limit := make(chan struct{}, 16)
	for i := range n {
		limit <- struct{}{}
		all.Go(func() {
			from := fmt.Sprintf("127.0.2.%d", 1+i/share)
			d := &net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
			var c net.Conn
			var err error
			if overTLS {
				c, err = tls.DialWithDialer(d, "tcp", h.listeners["line"], trusting())
			} else {
				c, err = d.Dial("tcp", h.listeners["line"])
			}
			<-limit
			if err != nil {
				h.t.Error(err)
				return
			}
			do(i, c)
		})
	}
	all.Wait()
}

// watch samples what the process takes until the function that it returns is called, which returns the most.
func (h *house) watch() func() gatetest.Usage {
	var peak gatetest.Usage
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			u := h.Usage()
			peak = gatetest.Usage{RSS: max(peak.RSS, u.RSS), FDs: max(peak.FDs, u.FDs), Goroutines: max(peak.Goroutines, u.Goroutines)}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-end:
				return
			}
		}
	}()
	return func() gatetest.Usage {
		close(end)
		<-ended
		return peak
	}
}

// warm has the process do once what it will do, so that what it keeps of that is not counted.
func (h *house) warm() (before gatetest.Usage) {
	h.Register("alice", password)
	for range 20 {
		c := h.dial("line")
		c.granted(login("alice"))
		c.Close()
	}
	return h.Usage()
}

// perClient is what one may cost: a TLS connection of Go's has a stack, and buffers for what was read and is written.
const perClient = 96 << 10

// A few clients send 64 MB without a line break, and a thousand send two lines' worth of it: each gets one nop and the
// end, and nothing of it is kept.
func TestLIN01FloodMeasured(t *testing.T) {
	measured(t)
	h := start(t, options{})
	before := h.warm()
	verdict := func(c net.Conn) string {
		_ = c.SetReadDeadline(time.Now().Add(2 * patience))
		b, err := io.ReadAll(c)
		c.Close()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return "nothing"
		}
		return string(b)
	}
	flat := func(what string, bound int64, flood func()) {
		t.Helper()
		peak := h.watch()
		flood()
		most := peak()
		t.Logf("%s: RSS %d MiB, at most %d MiB; goroutines %d, at most %d", what, before.RSS>>20, most.RSS>>20, before.Goroutines, most.Goroutines)
		if grown := most.RSS - before.RSS; grown > bound {
			t.Errorf("%s: it grew by %d MiB", what, grown>>20)
		}
	}
	junk := bytes.Repeat([]byte("x"), 1<<20)
	flat("64 MB from each of four", 16<<20, func() {
		h.strangers(4, true, func(_ int, c net.Conn) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range 64 {
					if _, err := c.Write(junk); err != nil {
						return
					}
				}
				t.Error("64 MB were taken")
			}()
			// A client that goes on sending may be told by a reset instead.
			if got := verdict(c); got != "nop syntax:\n" && got != "" {
				t.Errorf("got %.100q", got)
			}
			<-done
		})
	})
	flat("a thousand at once", 1000*perClient, func() {
		h.strangers(1000, true, func(_ int, c net.Conn) {
			if _, err := c.Write(junk[:2048]); err != nil {
				t.Error(err)
			}
			if got := verdict(c); got != "nop syntax:\n" {
				t.Errorf("got %.100q", got)
			}
		})
	})
	h.back(before)
	h.dial("line").granted(login("alice"))
}

// A thousand clients that are slow or silent, in each stage, cost no more than bounded buffers; a member is served
// meanwhile; and afterwards nothing is left of them.
func TestLIN05CrowdMeasured(t *testing.T) {
	measured(t)
	raiseFiles(t)
	const n = 1000
	for stage, s := range map[string]struct {
		tls   bool
		first string
		bound int64 // bytes a client
	}{
		"silent after the handshake": {true, "", perClient},
		"half a line":                {true, "login u:alice p:" + strings.Repeat("x", 1000), perClient},
		"between two lines":          {true, "token t:x\n", perClient},
		"silent before it":           {false, "", perClient / 2},
		"half a handshake":           {false, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x00", 300), perClient / 2},
	} {
		t.Run(stage, func(t *testing.T) {
			h := start(t, options{line: "\t\t\t\t\tline_timeout 1m\n"})
			h.t = t
			before := h.warm()
			conns := make(chan net.Conn, n)
			count := n
			if !s.tls {
				count = 64 // that an address has under way
			}
			h.strangers(n, s.tls, func(_ int, c net.Conn) {
				if _, err := io.WriteString(c, s.first); err != nil {
					t.Error(err)
				}
				conns <- c
			})
			eventually(t, "all of them at once", func() bool { return h.Usage().FDs >= before.FDs+count })
			now := h.Usage()
			each := (now.RSS - before.RSS) / int64(now.FDs-before.FDs)
			t.Logf("%d clients: %d KiB and %.1f goroutines each", now.FDs-before.FDs, each>>10, float64(now.Goroutines-before.Goroutines)/float64(now.FDs-before.FDs))
			if each > s.bound {
				t.Errorf("one costs %d KiB", each>>10)
			}
			c := h.dial("line")
			c.granted(login("alice"))
			c.Close()
			close(conns)
			for c := range conns {
				c.Close()
			}
			h.back(before)
		})
	}
}

// raiseFiles lets this process, and the gateways that it starts, have as many files as they may.
func raiseFiles(t *testing.T) {
	t.Helper()
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	if l.Cur = l.Max; l.Max < 4096 {
		t.Skipf("a process may have %d files here", l.Max)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
}
