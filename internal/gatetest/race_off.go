//go:build !race

package gatetest

// Race reports whether this test, and so its gateways, have the race detector.
const Race = false
