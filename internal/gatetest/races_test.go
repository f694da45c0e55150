package gatetest

import (
	"strings"
	"testing"
)

func TestWithoutCaddysRaces(t *testing.T) {
	const (
		line   = `{"level":"info","msg":"handled request"}` + "\n"
		bar    = "==================\n"
		logged = bar + "WARNING: DATA RACE\n" +
			"Read at 0x00c0002f2ad8 by goroutine 598:\n" +
			"  github.com/caddyserver/caddy/v2/modules/caddyhttp.(*Server).logRequest()\n" +
			"      /go/caddyhttp/server.go:1295 +0x774\n" +
			"\n" +
			"Previous write at 0x00c0002f2ad8 by goroutine 601:\n" +
			"  github.com/caddyserver/caddy/v2/modules/caddyhttp.(*lengthReader).Read()\n" +
			"      /go/caddyhttp/server.go:1607 +0x9c\n" +
			"  github.com/chatgate/chatgate/caddymodule/proxy.(*watchedBody).Read()\n" +
			"      /src/blame.go:110 +0x99\n" + bar
		count = "Found 1 data race(s)\n"
	)
	started := strings.NewReplacer("goroutine 601", "main goroutine", "caddyhttp.(*Server).logRequest", "caddytls.(*TLS).CaddyModule",
		"caddyhttp.(*lengthReader).Read", "caddytls.(*TLS).Start").Replace(logged)
	turned := strings.NewReplacer("Read at", "Write at", "Previous write", "Previous read", "caddyhttp.(*Server).logRequest", "caddyhttp.(*lengthReader).Read",
		"caddyhttp.(*lengthReader).Read", "caddyhttp.(*Server).logRequest").Replace(logged)
	ours := strings.Replace(logged, "caddyserver/caddy/v2/modules/caddyhttp.(*lengthReader)", "chatgate/chatgate/caddymodule/proxy.(*watchedBody)", 1)
	for name, tc := range map[string]struct{ log, want string }{
		"none":                {line, line},
		"one of Caddy's":      {line + logged + line + count, line + line},
		"the other":           {started, ""},
		"seen from its write": {turned, ""},
		"one of ours":         {line + ours + count, line + ours + count},
		"both":                {logged + line + ours + "Found 2 data race(s)\n", line + ours + "Found 2 data race(s)\n"},
		"another of Caddy's":  {strings.Replace(logged, "logRequest", "ServeHTTP", 1), strings.Replace(logged, "logRequest", "ServeHTTP", 1)},
		"two that differ":     {strings.Replace(logged, "caddyhttp.(*lengthReader).Read", "caddytls.(*TLS).Start", 1), strings.Replace(logged, "caddyhttp.(*lengthReader).Read", "caddytls.(*TLS).Start", 1)},
		"not to its end":      {logged[:len(logged)-len(bar)], logged[:len(logged)-len(bar)]},
	} {
		if got := withoutCaddysRaces(tc.log); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}
