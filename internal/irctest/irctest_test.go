//go:build linux

package irctest_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/irctest"
)

// WeeChat and a client of the rig's own meet on a server.
func TestMeeting(t *testing.T) {
	s := irctest.StartServer(t)
	w := irctest.StartWeeChat(t, irctest.WeeChatOptions{Addr: s.Addr, Nick: "wanda", From: "127.0.0.3"})
	w.Await(irctest.Buffer, "Welcome to the Internet Relay Network wanda!~wanda@127.0.0.3")
	c := irctest.Dialer{From: "127.0.0.2"}.Dial(t, s.Addr)
	c.Send("WEBIRC "+s.WEBIRC+" carl there.example.net 203.0.113.9", "NICK carl", "USER carl 0 * :Carl", "JOIN #room")
	c.Expect("366", "#room")
	w.Do(irctest.Buffer, "/join #room")
	if got := c.Expect("JOIN").Source; got != "wanda!~wanda@127.0.0.3" {
		t.Errorf("%s joined", got)
	}
	w.Await("irc.gate.#room", "Channel #room: 2 nicks")
	w.Do("irc.gate.#room", "hello", "/me waves")
	if got := c.Expect("PRIVMSG").Param(1); got != "hello" {
		t.Errorf("wanda said %q", got)
	}
	c.Expect("PRIVMSG", "ACTION waves")
	c.Send("PRIVMSG #room :and hello to you")
	w.Await("irc.gate.#room", "carl\tand hello to you")
	if whois := c.Whois("carl"); whois["311"].Param(3) != "203.0.113.9" {
		t.Errorf("carl is at %+v", whois)
	}
	if got := s.Users(); !slices.Equal(got, []string{"wanda!~wanda@127.0.0.3", "carl!carl@203.0.113.9"}) {
		t.Errorf("the log has %q", got)
	}
	if n := s.Open(); n != 2 {
		t.Errorf("%d connections", n)
	}
	if before := c.Sync(); len(before) > 0 {
		t.Errorf("unexpected: %v", before)
	}
	s.Stop()
	c.End()
	w.Await(irctest.Buffer, "disconnected from server")
	s.Run()
	w.Do(irctest.Buffer, "/connect gate")
	gatetest.Eventually(t, "wanda is back", func() bool { return len(s.Users()) == 1 })
}

// childVar says that this is the process to be killed.
const childVar = "IRCTEST_TEST_CHILD"

// A server and a client end with the process that started them.
func TestKilled(t *testing.T) {
	if os.Getenv(childVar) != "" {
		s := irctest.StartServer(t)
		irctest.StartWeeChat(t, irctest.WeeChatOptions{Addr: s.Addr, Nick: "wanda"}).Await(irctest.Buffer, "Welcome")
		fmt.Println(s.Addr)
		select {}
	}
	irctest.StartServer(t).Stop() // or skip
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil { // the server runs as another user
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), childVar+"=1", "TMPDIR="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var addr string
	for line := bufio.NewScanner(out); addr == "" && line.Scan(); {
		if _, _, err := net.SplitHostPort(line.Text()); err == nil {
			addr = line.Text()
		}
	}
	if addr == "" {
		t.Fatal("the other process started no server")
	}
	if n := running(dir); n < 2 {
		t.Errorf("%d processes run", n)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // killed
	for deadline := time.Now().Add(30 * time.Second); running(dir) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d processes still run", running(dir))
		}
	}
}

// running returns how many processes have a directory in their command line.
func running(dir string) (n int) {
	processes, _ := os.ReadDir("/proc")
	for _, p := range processes {
		b, _ := os.ReadFile("/proc/" + p.Name() + "/cmdline")
		if strings.Contains(string(b), dir) {
			n++
		}
	}
	return n
}
