//go:build linux

package leash

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// guard runs a program until its own input ends, and leaves its process id in a file. A signal to be sent when the parent
// dies would not do: ngIRCd changes its user when root runs it, and the kernel then forgets that signal. A program that was
// stopped takes other signals than KILL only once it goes on. When the parent is gone, the kernel hangs up on a stopped one
// and on its guard, which is nothing to end for.
const guard = `trap "" HUP; end=$1; shift; "$@" & pid=$!; echo $pid >pid; cat >/dev/null; kill -$end $pid; kill -CONT $pid 2>/dev/null; wait $pid`

// Command is a command to run.
type Command struct {
	Dir  string              // where it works, and where the file pid tells its process id
	Log  string              // the file that what it writes is added to
	Env  []string            // beside PATH and TZ
	End  string              // the signal that ends it (INT and QUIT only where it has handlers of its own); empty: KILL
	User *syscall.Credential // whom to run it as; nil: who we are
	Args []string
}

// Program is a running program.
type Program struct {
	cmd   *exec.Cmd
	input io.Closer // of the guard
	dir   string
}

// Start runs a program.
func Start(c Command) (*Program, error) {
	p := &Program{dir: c.Dir}
	if err := os.RemoveAll(p.pidFile()); err != nil { // an earlier one's
		return nil, err
	}
	end := c.End
	if end == "" {
		end = "KILL"
	}
	p.cmd = exec.Command("sh", append([]string{"-c", guard, "sh", end}, c.Args...)...) //nolint:gosec // what a test says
	p.cmd.Dir, p.cmd.Env = c.Dir, append([]string{"PATH=" + os.Getenv("PATH"), "TZ=UTC"}, c.Env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.User, Setpgid: true}
	var err error
	if p.input, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	return p, nil
}

// Stop ends the program and waits for its end.
func (p *Program) Stop() {
	p.Thaw()
	_ = p.input.Close()
	_ = p.cmd.Wait() // it was told to end, and says so
}

// Freeze stops the program and what it started, as a machine does that swaps or hangs. Its ports go on accepting.
func (p *Program) Freeze() { p.signal(syscall.SIGSTOP) }

// Thaw lets them go on.
func (p *Program) Thaw() { p.signal(syscall.SIGCONT) }

// signal reaches the program and the processes that it started itself.
func (p *Program) signal(sig syscall.Signal) {
	pid := p.pid()
	if pid <= 1 {
		return
	}
	_ = syscall.Kill(pid, sig)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		if _, parent := readStat(path); parent != pid {
			continue
		}
		if child, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			_ = syscall.Kill(child, sig)
		}
	}
}

// Runs reports whether the program runs: neither before its guard has taken note of it nor after its end.
func (p *Program) Runs() bool {
	pid := p.pid()
	if pid == 0 {
		return false
	}
	state, _ := readStat(fmt.Sprintf("/proc/%d/stat", pid))
	return state != "" && state != "Z"
}

// Ended reports whether the program has run, and runs no more.
func (p *Program) Ended() bool { return p.pid() > 0 && !p.Runs() }

func (p *Program) pidFile() string { return filepath.Join(p.dir, "pid") }

// pid returns the program's process id, or 0 while it is unknown.
func (p *Program) pid() int {
	raw, _ := os.ReadFile(p.pidFile())
	line, ended := strings.CutSuffix(string(raw), "\n")
	pid, err := strconv.Atoi(line)
	if !ended || err != nil {
		return 0
	}
	return pid
}

// readStat reads what /proc says of a process; nothing if there is none.
func readStat(path string) (state string, parent int) {
	stat, err := os.ReadFile(path) //nolint:gosec // of /proc
	if err != nil {
		return "", 0
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // pid (name) state parent ...
	if len(fields) < 2 {
		return "", 0
	}
	parent, _ = strconv.Atoi(fields[1])
	return fields[0], parent
}
