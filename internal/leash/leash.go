//go:build linux

package leash

import (
	"io"
	"os"
	"os/exec"
	"syscall"
)

// guard runs a program until its own input ends, and leaves its process id in a file. A signal to be sent when the parent
// dies would not do: ngIRCd changes its user when root runs it, and the kernel then forgets that signal.
const guard = `trap "" HUP; "$@" & pid=$!; echo $pid >pid; cat >/dev/null; kill -KILL $pid; wait $pid`

// Program is one that runs.
type Program struct {
	cmd   *exec.Cmd
	input io.Closer // of the guard
}

// Start runs a program in dir, where the file pid tells its process id. What it writes is added to the file log.
func Start(dir, log string, env []string, args ...string) (*Program, error) {
	cmd := exec.Command("sh", append([]string{"-c", guard, "sh"}, args...)...) //nolint:gosec // what a test says
	cmd.Dir, cmd.Env = dir, append([]string{"PATH=" + os.Getenv("PATH"), "TZ=UTC"}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // as above
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &Program{cmd, input}, nil
}

// Stop kills the program and waits for its end.
func (p *Program) Stop() {
	_ = p.input.Close()
	_ = p.cmd.Wait() // it was killed, and says so
}
