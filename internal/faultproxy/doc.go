// Package faultproxy stands between a node and a server in tests and does what networks do: it refuses, resets, goes
// silent in one direction or both, is slow, and heals. It also counts what passes, to show that nothing does.
package faultproxy
