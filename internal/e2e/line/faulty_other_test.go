//go:build !linux

package line

import (
	"strings"
	"testing"
)

// faulty would run Redis, which the rig does on Linux alone.
func faulty(t *testing.T, app string) (source func(testing.TB, string) string, env []string) {
	t.Helper()
	if strings.Contains(app, "{env.REDIS}") {
		t.Skip("Redis is run on Linux alone")
	}
	return nil, nil
}
