package gatetest

import (
	"regexp"
	"slices"
	"strings"
)

// caddysRaces are the data races of Caddy 2.11.9 itself that our tests run into, by the functions that the two accesses are
// in. Both are as old as Caddy, and harmless: a number in the access log, and a pointer that is set once at the start.
var caddysRaces = [][2]string{
	// The transport reads on in a request's body after the upstream has answered; the access log counts what was read.
	{"caddyhttp.(*Server).logRequest", "caddyhttp.(*lengthReader).Read"},
	// A certificate that is obtained while the TLS app starts is announced in the name of that app.
	{"caddytls.(*TLS).CaddyModule", "caddytls.(*TLS).Start"},
}

// raceReport is what the race detector prints, and raceAccess what it says of one of the two accesses.
var (
	raceReport = regexp.MustCompile(`(?s)==================\nWARNING: DATA RACE\n.*?\n==================\n`)
	raceAccess = regexp.MustCompile(`(?:Read|Write|read|write) at 0x[0-9a-f]+ by [^\n]*:\n  github\.com/caddyserver/caddy/v2/modules/(\S+)\(\)\n`)
	raceCount  = regexp.MustCompile(`Found \d+ data race\(s\)\n`)
)

// withoutCaddysRaces removes the reports of caddysRaces from a log.
func withoutCaddysRaces(log string) string {
	if !strings.Contains(log, "WARNING: DATA RACE") {
		return log
	}
	log = raceReport.ReplaceAllStringFunc(log, func(report string) string {
		var at [2]string
		found := raceAccess.FindAllStringSubmatch(report, -1)
		if len(found) != len(at) {
			return report
		}
		at[0], at[1] = found[0][1], found[1][1]
		if slices.Contains(caddysRaces, at) || slices.Contains(caddysRaces, [2]string{at[1], at[0]}) {
			return ""
		}
		return report
	})
	if !strings.Contains(log, "WARNING: DATA RACE") {
		log = raceCount.ReplaceAllString(log, "")
	}
	return log
}
