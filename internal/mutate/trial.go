package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

// Outcome is what became of a patch.
type Outcome int

// The outcomes.
const (
	Noticed Outcome = iota // a test failed
	Missed                 // all tests passed
	Broken                 // it could not be tried
)

// Result says what became of a patch, and by which test or for what reason.
type Result struct {
	Patch   Patch
	Outcome Outcome
	Why     string
}

// Trials tries patches on a copy. Tests are known good once they have passed without a patch.
type Trials struct {
	scratch *Scratch
	good    map[string]error
}

// Try runs the tests of a patch without and then with it.
func (t *Trials) Try(ctx context.Context, p Patch) Result {
	broken := func(err error) Result { return Result{p, Broken, err.Error()} }
	undo, err := t.scratch.Apply(p)
	if err != nil {
		return broken(fmt.Errorf("it does not apply: %w", err))
	}
	if err := undo(); err != nil {
		return broken(err)
	}
	for _, test := range p.Tests {
		if err := t.passes(ctx, test); err != nil {
			return broken(err)
		}
	}
	if undo, err = t.scratch.Apply(p); err != nil {
		return broken(err)
	}
	result := t.tryTests(ctx, p)
	if err := undo(); err != nil {
		return broken(err)
	}
	return result
}

// passes runs a test without any patch, once.
func (t *Trials) passes(ctx context.Context, test string) error {
	if err, known := t.good[test]; known {
		return err
	}
	err := t.run(ctx, test)
	if failed, ok := errors.AsType[*failure](err); ok {
		err = fmt.Errorf("go test %s fails without the patch: %s\n%s", test, failed.test, failed.output)
	}
	t.good[test] = err
	return err
}

func (t *Trials) tryTests(ctx context.Context, p Patch) Result {
	for _, test := range p.Tests {
		err := t.run(ctx, test)
		if failed, ok := errors.AsType[*failure](err); ok {
			return Result{p, Noticed, failed.test}
		} else if err != nil {
			return Result{p, Broken, err.Error()}
		}
	}
	return Result{p, Missed, strings.Join(p.Tests, "; ")}
}

// failure is a test that ran and failed.
type failure struct {
	test   string
	output []byte
}

func (f *failure) Error() string { return f.test }

// env lets a test whose server is missing fail instead of skipping, which would look as if it had noticed nothing.
var env = append(os.Environ(), "CHATGATE_TEST_STRICT=1")

var failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// run runs go test. A test that fails is a failure; every other error means that none has run.
func (t *Trials) run(ctx context.Context, test string) error {
	args := append([]string{"test", "-count=1", "-failfast", "-vet=off", "-timeout=2m"}, strings.Fields(test)...)
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // what a patch says
	cmd.Dir, cmd.Env = t.scratch.dir, env
	output, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case bytes.Contains(output, []byte("[build failed]")), bytes.Contains(output, []byte("[setup failed]")):
		return fmt.Errorf("it does not build:\n%s", output)
	case bytes.Contains(output, []byte("no tests to run")), bytes.Contains(output, []byte("[no test files]")):
		return fmt.Errorf("go test %s runs no test", test)
	case err == nil:
		return nil
	case !bytes.Contains(output, []byte("\nFAIL")) && !bytes.HasPrefix(output, []byte("FAIL")):
		return fmt.Errorf("go test %s: %w\n%s", test, err, output)
	}
	name := string(firstLine(output)) // a panic, or the time is over
	if all := failed.FindAllSubmatch(output, -1); all != nil {
		name = string(all[len(all)-1][1]) // a subtest stands below its test
	}
	return &failure{name, output}
}

func firstLine(b []byte) []byte {
	line, _, _ := bytes.Cut(bytes.TrimSpace(b), []byte("\n"))
	return line
}
