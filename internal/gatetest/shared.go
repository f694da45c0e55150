package gatetest

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// Shared is what the tests of a package use together: gateways and upstreams that the first test to need them starts,
// and that [MainShared] stops. It is the TB of whichever test is running, but for what ends with a test; so its tests
// do not run in parallel.
type Shared struct {
	testing.TB
	cleanups []func()
	dirs     []string
}

// Use says which test is running. A race or panic of a gateway that shows up until its end is that test's failure.
func (s *Shared) Use(t testing.TB, gateways ...*Gateway) {
	s.TB = t
	var before []int
	for _, g := range gateways {
		before = append(before, len(g.Log()))
	}
	t.Cleanup(func() {
		for i, g := range gateways {
			log := g.Log()[before[i]:]
			switch {
			case strings.Contains(log, "WARNING: DATA RACE") || strings.Contains(log, "panic:"):
				t.Errorf("the gateway raced or panicked:\n%s", log)
			case t.Failed():
				t.Logf("the gateway's log:\n%s", tail(log, 6000))
			}
		}
	})
}

// Cleanup runs f when all tests have run.
func (s *Shared) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

// TempDir makes a directory that is removed when all tests have run.
func (s *Shared) TempDir() string {
	dir, err := os.MkdirTemp("", "gatetest")
	if err != nil {
		s.Fatal(err)
	}
	s.dirs = append(s.dirs, dir)
	return dir
}

// MainShared is [Main] for a package whose tests share something.
func MainShared(m *testing.M, s *Shared) {
	code := m.Run()
	end := &ending{}
	s.TB = end
	for i := len(s.cleanups) - 1; i >= 0; i-- {
		s.cleanups[i]()
	}
	for _, dir := range s.dirs {
		_ = os.RemoveAll(dir)
	}
	removeBuilt()
	if end.failed {
		code = 1
	}
	os.Exit(code)
}

// ending is the TB of the time after the last test.
type ending struct {
	testing.TB
	failed bool
}

func (*ending) Helper()        {}
func (e *ending) Failed() bool { return e.failed }

func (e *ending) Error(args ...any) { e.Errorf("%s", fmt.Sprint(args...)) }

func (e *ending) Errorf(format string, args ...any) {
	e.failed = true
	e.Logf(format, args...)
}

func (*ending) Logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
