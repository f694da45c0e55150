//go:build linux

package pgtest_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/pgtest"
)

// childVar says that this is the process to be killed, and how it leaves its server.
const childVar = "PGTEST_TEST_CHILD"

// A server ends with the process that started it, even if both were stopped in the middle of something.
func TestKilled(t *testing.T) {
	if os.Getenv(childVar) != "" {
		s := pgtest.Start(t)
		if os.Getenv(childVar) == "frozen" {
			s.Freeze()
		}
		fmt.Println(s.Addr)
		select {}
	}
	probe := pgtest.Start(t) // or skip
	probe.Stop()
	for _, state := range []string{"running", "frozen"} {
		t.Run(state, func(t *testing.T) { killed(t, state) })
	}
}

func killed(t *testing.T, state string) {
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // the server runs as another user
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), childVar+"="+state, "TMPDIR="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := bufio.NewScanner(out)
	for line.Scan() {
		if _, _, err := net.SplitHostPort(line.Text()); err == nil {
			break
		}
	}
	addr := line.Text()
	if addr == "" {
		t.Fatal("the other process started no server")
	}
	if conn, err := net.Dial("tcp", addr); err != nil {
		t.Error(err)
	} else {
		_ = conn.Close()
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // killed
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		_ = conn.Close()
		if time.Now().After(deadline) {
			t.Fatal("the server is still there")
		}
	}
}
