package leash_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/chatgate/chatgate/internal/leash"
)

// verdict is what a test came to first.
type verdict struct {
	testing.TB
	says []string
}

func (*verdict) Helper() {}

func (v *verdict) Fatalf(format string, args ...any) {
	v.says = append(v.says, "fails: "+fmt.Sprintf(format, args...))
}

func (v *verdict) Skipf(format string, args ...any) {
	v.says = append(v.says, "skips: "+fmt.Sprintf(format, args...))
}

func TestFind(t *testing.T) {
	if path := leash.Find(t, "go"); !filepath.IsAbs(path) {
		t.Errorf("go is %q", path)
	}
	for strict, want := range map[string]string{"": "skips: no-such-program is not installed", "1": "fails: no-such-program is not installed"} {
		t.Setenv("CHATGATE_TEST_STRICT", strict)
		v := &verdict{TB: t}
		if path := leash.Find(v, "no-such-program"); path != "" || v.says[0] != want {
			t.Errorf("strict %q: %q, %q", strict, path, v.says)
		}
	}
}
