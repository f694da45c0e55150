// Package tcptest serves TCP connections for tests. No listener, connection or goroutine outlives its test.
package tcptest
