package leash

import "os"

// Environ returns the environment for processes with the race detector, which would otherwise sleep for a second at their
// end. Other settings of GORACE stay.
func Environ() []string {
	return append(os.Environ(), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
}
