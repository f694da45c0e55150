package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := mutate(ctx, os.Stdout, "", os.Args[1:]...)
	stop()
	switch {
	case errors.Is(err, errUnnoticed):
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(2)
	}
}

// errUnnoticed means that the report names a patch that no test noticed, or that could not be tried.
var errUnnoticed = errors.New("not every patch was noticed")

// mutate tries the patches of the module around a directory and reports what became of them.
func mutate(ctx context.Context, out io.Writer, dir string, patterns ...string) error {
	root, err := moduleRoot(ctx, dir)
	if err != nil {
		return err
	}
	patches, err := ReadPatches(filepath.Join(root, "testdata", "mutations"), patterns...)
	if err != nil {
		return err
	}
	scratch, err := NewScratch(ctx, root)
	if err != nil {
		return err
	}
	defer scratch.Remove()

	trials := Trials{scratch: scratch, good: make(map[string]error)}
	count, start := make(map[Outcome]int), time.Now()
	for _, p := range patches {
		began := time.Now()
		r := trials.Try(ctx, p)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		count[r.Outcome]++
		report(out, r, time.Since(began))
	}
	fmt.Fprintf(out, "\n%d patches: %d noticed, %d missed, %d broken (%v)\n", len(patches), count[Noticed], count[Missed], count[Broken],
		time.Since(start).Round(time.Second))
	if count[Noticed] != len(patches) {
		return errUnnoticed
	}
	return nil
}

func report(out io.Writer, r Result, took time.Duration) {
	switch r.Outcome {
	case Noticed:
		fmt.Fprintf(out, "ok      %-28s %5.1f s  %s\n", r.Patch.Name, took.Seconds(), r.Why)
	case Missed:
		fmt.Fprintf(out, "MISSED  %-28s %5.1f s  no test notices that it removes %s (%s)\n", r.Patch.Name, took.Seconds(), r.Patch.Removes, r.Why)
	case Broken:
		fmt.Fprintf(out, "BROKEN  %-28s %5.1f s  %s\n", r.Patch.Name, took.Seconds(), r.Why)
	}
}

// moduleRoot returns the root of the module around a directory, or around the current one.
func moduleRoot(ctx context.Context, dir string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("cannot find the module's root; run this within the module: go list -m: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
