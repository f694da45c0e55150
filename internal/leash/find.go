package leash

import (
	"os"
	"os/exec"
	"testing"
)

// Find returns the path of a program. Without it the test is skipped, unless CHATGATE_TEST_STRICT is set: then it fails.
func Find(t testing.TB, program string) string {
	t.Helper()
	for _, name := range []string{program, "/usr/sbin/" + program} { // whose directory is in root's PATH alone
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	Missing(t, program)
	return ""
}

// Missing ends a test without something that is not installed, as Find does.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CHATGATE_TEST_STRICT") != "" {
		t.Fatalf("%s is not installed", what)
	}
	t.Skipf("%s is not installed", what)
}
