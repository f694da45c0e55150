//go:build linux

package irctest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/leash"
)

// patience is how long anything may take that a test waits for.
const patience = 30 * time.Second

// process is a program that ends no later than this process does.
type process struct {
	dir     string
	program *leash.Program // nil while it does not run
}

// start runs a program in p.dir, with nothing of the environment that would change what it does, and its output in a new log.
func (p *process) start(args ...string) error {
	if err := os.RemoveAll(p.log()); err != nil {
		return err
	}
	var err error
	p.program, err = leash.Start(leash.Command{Dir: p.dir, Log: p.log(), Env: []string{"HOME=" + p.dir, "LC_ALL=C.UTF-8"}, Args: args})
	return err
}

func (p *process) log() string { return filepath.Join(p.dir, "output") }

// output returns what the program has written so far.
func (p *process) output() string {
	b, _ := os.ReadFile(p.log())
	return string(b)
}

// stop kills the program and waits for its end.
func (p *process) stop() {
	if p.program != nil {
		p.program.Stop()
		p.program = nil
	}
}

// await waits until ok, or fails the test with what look has to add.
func await(t testing.TB, what string, ok func() bool, look func() string) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s\n%s", what, look())
		}
	}
}

// tempDir is one that a program which ends late may still write to, and that other users may enter.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "irctest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// settings writes a file of an ini-like form, which has passwords and is nobody else's to read.
func settings(t testing.TB, file string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if strings.ContainsAny(line, "\r\n") {
			t.Fatal("a setting of more than one line")
		}
	}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// lines returns the lines of b that have every one of the words.
func lines(b []byte, words ...string) (found []string) {
next:
	for line := range bytes.Lines(b) {
		for _, word := range words {
			if !bytes.Contains(line, []byte(word)) {
				continue next
			}
		}
		found = append(found, strings.TrimRight(string(line), "\r\n"))
	}
	return found
}
