package option

import (
	"fmt"
	"strings"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/syntax"
)

// DurationText returns a duration as a Caddyfile has it, in the shortest spelling: 1m rather than 1m0s, 14d rather than 336h.
func DurationText(d time.Duration) string {
	if day := 24 * time.Hour; d > 0 && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-len(zero)+1]
		}
	}
	return text
}

// sizeText returns a size in the largest unit of which it is a multiple.
func sizeText(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n > 0 && n%unit.size == 0 {
			return fmt.Sprintf("%d%s", n/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%dB", n)
}

// RateOf returns a rate as it is written.
func RateOf(r authcore.Rate) syntax.Rate {
	return syntax.Rate(fmt.Sprintf("%d/%s", r.Burst, DurationText(r.Per)))
}
