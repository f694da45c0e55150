//go:build linux

package line

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/leash"
)

// What a client does not finish ends by itself, in a time that is not per byte, and leaves nothing behind.
func TestLIN05SlowAndSilent(t *testing.T) {
	t.Parallel()
	h := start(t, options{line: "\t\t\t\t\tline_timeout 5s\n"})
	h.Register("alice", password)
	h.dial("line").granted(login("alice"))
	before := h.Usage()
	all := map[string]*client{}
	tcp := func(name, first string) {
		raw, err := net.Dial("tcp", h.listeners["line"])
		if err != nil {
			t.Fatal(err)
		}
		all[name] = newClient(t, raw)
		all[name].send(first)
	}
	tcp("silence before TLS", "")
	tcp("half a handshake", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
	all["silence"] = h.dial("line")
	all["half a line"] = h.dial("line")
	all["half a line"].send("login u:alice")
	all["half a second line"] = h.dial("line")
	all["half a second line"].granted(login("alice"))
	all["half a second line"].send("log")
	all["drops"] = h.dial("line")
	all["half-closed"] = h.dial("line")
	all["half-closed"].send(login("alice"))
	if err := all["half-closed"].Conn.(*tls.Conn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	go func() { // faster than any deadline for one byte would be
		for range 1000 {
			if _, err := io.WriteString(all["drops"], "x"); err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	for name, c := range all {
		got := c.rest()
		if want := map[string]string{
			"half a line": "nop syntax:\n", "half a second line": "nop syntax:\n", "drops": "nop syntax:\n", "half-closed": "nop syntax:\n",
		}[name]; got != want && !strings.Contains(name, "TLS") && !strings.Contains(name, "handshake") {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		if strings.Contains(got, "ok") {
			t.Errorf("%s: got %q", name, got)
		}
		c.Close()
	}

	// Who resets in the middle of a login leaves nothing either.
	for range 50 {
		c := h.dial("line")
		c.send(login("alice") + "\n")
		inner := c.Conn.(*tls.Conn).NetConn().(*net.TCPConn)
		_ = inner.SetLinger(0)
		inner.Close()

		c = h.dial("line") // nor who is turned away
		c.send("GET / HTTP/1.1\r\n")
		c.rest()
		c.Close()
	}
	h.back(before)
	h.dial("line").granted(login("alice"))
}

// back waits until the process holds no more than before.
func (h *house) back(before gatetest.Usage) {
	h.t.Helper()
	var now gatetest.Usage
	deadline := time.Now().Add(2 * patience)
	for time.Now().Before(deadline) {
		if now = h.Usage(); now.Goroutines <= before.Goroutines+10 && now.FDs <= before.FDs+10 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	h.t.Errorf("there were %d goroutines and %d files, there are %d and %d", before.Goroutines, before.FDs, now.Goroutines, now.FDs)
}

// One address has no more than its share of connections that nobody has logged in, and leaves others theirs.
func TestLIN05PerAddress(t *testing.T) {
	t.Parallel()
	h := start(t, options{line: "\t\t\t\t\tper_address 8\n"})
	h.Register("alice", password)
	first := make([]*client, 8)
	for i := range first {
		first[i] = h.dial("line")
		first[i].wants("token t:x", "nop badtoken")
	}
	if got := h.dial("line").rest(); got != "nop ratelimited\n" {
		t.Errorf("one too many got %q", got)
	}
	dialFrom(t, "127.0.0.2", h.listeners["line"]).granted(login("alice"))
	first[0].Close()
	eventually(t, "a free place", func() bool {
		c := h.dial("line")
		defer c.Close()
		c.send(login("alice") + "\n")
		return strings.HasPrefix(c.line(), "ok ")
	})
	// Who has logged in to a gate is no stranger any more.
	for range 20 {
		h.dial("gate").granted(login("alice"))
	}
}

// Nor more than its share of handshakes under way.
func TestLIN05HandshakesPerAddress(t *testing.T) {
	t.Parallel()
	h := start(t, options{tls: "\t\t\t\t\thandshake_timeout 1m\n\t\t\t\t\tper_address 8\n"})
	h.Register("alice", password)
	var ended atomic.Int32
	for range 20 {
		d := &net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.3")}}
		raw, err := d.Dial("tcp", h.listeners["line"])
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, raw)
		go func() {
			_, _ = io.Copy(io.Discard, c)
			ended.Add(1)
		}()
	}
	eventually(t, "the end of those that are too many", func() bool { return ended.Load() == 12 })
	h.dial("line").granted(login("alice"))
	if n := ended.Load(); n != 12 {
		t.Errorf("%d have ended", n)
	}
}

// A client that changes its keys without end is cut off. What openssl reads at once, if it begins with "k", is an order to
// change keys.
func TestLIN05KeyUpdates(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.Register("alice", password)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, leash.Find(t, "openssl"), "s_client", "-tls1_3", "-brief", "-servername", "localhost", "-connect", h.listeners["line"])
	var told bytes.Buffer
	cmd.Stderr = &told
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(stdin, "token t:x\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || got != "nop badtoken\n" {
		t.Fatalf("got %q, %v", got, err)
	}
	orders := 0
	for ; ctx.Err() == nil; orders++ {
		if _, err := io.WriteString(stdin, "k\n"); err != nil {
			break
		}
		time.Sleep(time.Millisecond) // or several would be one
	}
	_ = cmd.Wait() // with an error, as it was cut off
	if n := strings.Count(told.String(), "KEYUPDATE"); ctx.Err() != nil || n < 10 {
		t.Errorf("%d orders, %d changes, %v:\n%s", orders, n, ctx.Err(), &told)
	}
	h.dial("line").granted(login("alice"))
}
