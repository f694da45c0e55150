//go:build race

package gatetest

// Race reports whether this test, and so its gateways, have the race detector: they take many times the memory and the
// time, some of it at random.
const Race = true
