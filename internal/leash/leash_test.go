//go:build linux

package leash_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/leash"
)

// busy ends by TERM, and has a child, which ends after it. Both go on writing.
const busy = `trap "exit 0" TERM
(while kill -0 $$; do echo child; sleep 0.01; done) & while :; do echo parent; sleep 0.01; done`

func command(dir string) leash.Command {
	return leash.Command{Dir: dir, Log: filepath.Join(dir, "log"), End: "TERM", Args: []string{"sh", "-c", busy}}
}

func start(t *testing.T, c leash.Command) *leash.Program {
	t.Helper()
	p, err := leash.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the program runs", p.Runs)
	return p
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// said counts the lines of a log that are word.
func said(c leash.Command, word string) int {
	b, _ := os.ReadFile(c.Log)
	return strings.Count(string(b), word+"\n")
}

func TestProgram(t *testing.T) {
	c := command(t.TempDir())
	p := start(t, c)
	if p.Ended() {
		t.Error("it runs and has ended")
	}
	both := func(what string) {
		t.Helper()
		for _, word := range []string{"parent", "child"} {
			before := said(c, word)
			await(t, word+": "+what, func() bool { return said(c, word) > before+1 })
		}
	}
	both("at work")
	p.Freeze()
	time.Sleep(50 * time.Millisecond) // for what is being written
	parent, child := said(c, "parent"), said(c, "child")
	time.Sleep(100 * time.Millisecond)
	if said(c, "parent") != parent || said(c, "child") != child {
		t.Error("a frozen program goes on")
	}
	p.Thaw()
	both("after the thaw")
	p.Freeze()
	p.Stop()
	if p.Runs() || !p.Ended() {
		t.Error("a stopped program runs")
	}
}

// A program that takes no other signal ends by KILL.
func TestStopKills(t *testing.T) {
	c := command(t.TempDir())
	c.End, c.Args = "", []string{"sh", "-c", `trap "" TERM QUIT INT HUP; while :; do sleep 0.01; done`}
	p := start(t, c)
	p.Stop()
	if p.Runs() {
		t.Error("it runs")
	}
}

// What an earlier program in a directory has left is not taken for the next one's.
func TestStartAgain(t *testing.T) {
	c := command(t.TempDir())
	c.Args = []string{"sh", "-c", "exec sleep 1000"}
	start(t, c).Stop()
	p, err := leash.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	if p.Ended() {
		t.Error("it has ended before it began")
	}
	await(t, "the second one runs", p.Runs)
}

const childVar = "LEASH_TEST_CHILD"

// A program ends with the process that started it, though that has no time to say so, and frozen or not.
func TestKilled(t *testing.T) {
	if dir := os.Getenv(childVar); dir != "" {
		c := command(dir)
		c.Args = []string{"sh", "-c", `trap "exit 0" TERM; while :; do sleep 0.01; done`}
		p := start(t, c)
		if strings.HasSuffix(dir, "frozen") {
			p.Freeze()
		}
		fmt.Println("ready")
		select {}
	}
	for _, state := range []string{"running", "frozen"} {
		t.Run(state, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), state)
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestKilled$")
			cmd.Env = append(leash.Environ(), childVar+"="+dir)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
				t.Fatalf("the other process says %q, %v", line, err)
			}
			pid, err := os.ReadFile(filepath.Join(dir, "pid"))
			if err != nil {
				t.Fatal(err)
			}
			proc := "/proc/" + strings.TrimSpace(string(pid))
			if _, err := os.Stat(proc); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // killed
			await(t, "the end of the program", func() bool {
				_, err := os.Stat(proc)
				return os.IsNotExist(err)
			})
		})
	}
}
