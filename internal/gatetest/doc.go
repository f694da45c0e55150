// Package gatetest is the rig of chatgate's end-to-end tests: real gateway processes on loopback, an upstream that
// records exact bytes and answers as it is told, and clients that send exact bytes.
//
// A gateway process is the test binary itself, run again: [Main] in a package's TestMain turns it into Caddy's command
// line when the environment says so. So a gateway under test is built with whatever the test is built with, the race
// detector included, and a report of that fails the test.
package gatetest
