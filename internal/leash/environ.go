package leash

import "os"

// Environ is the environment of a test's own binary that the test starts once more. With the race detector in it, it would
// sleep a second at its end, so that other threads can report; what GORACE says beyond that holds.
func Environ() []string {
	return append(os.Environ(), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
}
