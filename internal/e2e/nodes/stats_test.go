//go:build linux

package nodes

import (
	"strconv"
	"strings"
)

// parseCommandStats reads lines like "cmdstat_get:calls=21,usec=175,usec_per_call=8.33".
func parseCommandStats(info string) map[string]int64 {
	out := make(map[string]int64)
	for line := range strings.Lines(info) {
		name, rest, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if !ok || name == "info" {
			continue
		}
		calls, _, _ := strings.Cut(rest, ",")
		n, err := strconv.ParseInt(calls, 10, 64)
		if err == nil {
			out[name] = n
		}
	}
	return out
}
