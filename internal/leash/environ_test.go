package leash_test

import (
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/leash"
)

func TestEnviron(t *testing.T) {
	for user, want := range map[string]string{
		"":                                "GORACE=atexit_sleep_ms=0 ",
		"halt_on_error=1":                 "GORACE=atexit_sleep_ms=0 halt_on_error=1",
		"atexit_sleep_ms=50 exitcode=100": "GORACE=atexit_sleep_ms=0 atexit_sleep_ms=50 exitcode=100", // the last one wins
	} {
		t.Setenv("GORACE", user)
		env := leash.Environ()
		if got := env[len(env)-1]; got != want {
			t.Errorf("GORACE=%q becomes %q, not %q", user, got, want)
		}
		if !strings.Contains(strings.Join(env, "\n"), "PATH=") {
			t.Error("the rest of the environment is gone")
		}
	}
}
