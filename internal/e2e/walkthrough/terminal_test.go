//go:build linux

package walkthrough

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a slow, loaded machine may take for one step.
const patience = time.Minute

// terminal is a shell that somebody types into.
type terminal struct {
	t     *testing.T
	shell *exec.Cmd
	in    io.WriteCloser
	lines chan string // of standard output
	errs  *output
	leash *os.File
	busy  bool // something has the foreground
	marks int
}

// prologue ends the terminal, with everything that runs in it, when the test's process is gone and file 3 with it. The shell
// outlives the SIGTERM of close, so that it can wait for its children.
const prologue = `(cat <&3; kill -KILL 0) & exec 3<&-
trap : TERM; trap 'failed=$BASH_COMMAND' ERR; set -o pipefail
`

func openTerminal(t *testing.T, dir string, env []string) *terminal {
	t.Helper()
	held, leash, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	shown, screen, err := os.Pipe() // not StdoutPipe: what runs in the background would keep Wait waiting
	if err != nil {
		t.Fatal(err)
	}
	defer screen.Close()
	term := &terminal{t: t, shell: exec.Command("bash"), lines: make(chan string, 1000), errs: new(output), leash: leash}
	term.shell.Dir, term.shell.Env = dir, env
	term.shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	term.shell.ExtraFiles = []*os.File{held}
	term.shell.Stdout, term.shell.Stderr = screen, term.errs
	term.shell.WaitDelay = time.Second // for standard error, likewise
	if term.in, err = term.shell.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := term.shell.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer shown.Close()
		defer close(term.lines)
		for lines := bufio.NewScanner(shown); lines.Scan(); {
			term.lines <- strings.TrimSuffix(lines.Text(), "\r")
		}
	}()
	term.types(prologue)
	return term
}

func (term *terminal) types(text string) {
	term.t.Helper()
	if _, err := io.WriteString(term.in, text); err != nil {
		term.t.Fatalf("typing %q: %v\n%s", text, err, term.errs)
	}
}

// line returns the next line that is shown.
func (term *terminal) line() (string, error) {
	select {
	case line, ok := <-term.lines:
		if !ok {
			return "", errors.New("the terminal was closed")
		}
		return line, nil
	case <-time.After(patience):
		return "", errors.New("nothing more is shown")
	}
}

// prompt waits until the shell takes commands. It returns what was shown before, and a command that failed.
func (term *terminal) prompt() (shown, failed string, err error) {
	term.t.Helper()
	term.marks++
	mark := fmt.Sprintf("--- prompt %d ", term.marks)
	term.types("printf '\\n%s%s\\n' '" + mark + "' \"$failed\"; failed=\n")
	for {
		line, err := term.line()
		if err != nil {
			return shown, "", fmt.Errorf("waiting for the prompt: %w", err)
		}
		if failed, ok := strings.CutPrefix(line, mark); ok {
			return shown, failed, nil
		}
		shown += line + "\n"
	}
}

// close ends everything that runs in the terminal.
func (term *terminal) close() {
	group := -term.shell.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM)
	_, _ = io.WriteString(term.in, "wait; exit\n")
	term.in.Close()
	kill := time.AfterFunc(patience, func() {
		term.t.Errorf("a terminal cannot be closed:\n%s", term.errs)
		_ = syscall.Kill(group, syscall.SIGKILL)
	})
	_ = term.shell.Wait() // the status is that of the last command
	kill.Stop()
	term.leash.Close()
}

// output is what was written so far.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
