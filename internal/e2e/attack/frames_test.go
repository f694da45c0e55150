package attack

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// assertFrames waits until the upstream has got as many bytes as the last wanted frame needs, and checks that it got
// these frames, unmasked, and not one byte more. A close that the gateway sends is "close" and its code.
func assertFrames(t testing.TB, v *visit, want ...string) {
	t.Helper()
	describe := func() (out []string, rest []byte) {
		r := bytes.NewReader(v.bytes())
		for {
			left := r.Len()
			f, err := gatetest.ReadFrame(r)
			if err != nil {
				b := v.bytes()
				return out, b[len(b)-left:]
			}
			s := map[byte]string{0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}[f.Op]
			if s == "" {
				s = fmt.Sprintf("opcode %d", f.Op)
			}
			switch {
			case f.Op == 8:
				s = fmt.Sprintf("close %d", f.CloseCode())
			case len(f.Payload) > 0:
				s += " " + string(f.Payload)
			}
			out = append(out, s)
		}
	}
	wanted := strings.Join(want, ", ")
	gatetest.Eventually(t, "the frames "+wanted+" at the upstream", func() bool {
		out, _ := describe()
		return len(out) >= len(want)
	})
	if strings.HasPrefix(want[len(want)-1], "close") {
		gatetest.Eventually(t, "the end of the upstream connection", v.ended)
	}
	got, rest := describe()
	if strings.Join(got, ", ") != wanted || len(rest) > 0 {
		t.Errorf("the upstream got %q and %q, want %q", got, rest, want)
	}
}
