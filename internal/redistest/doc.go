// Package redistest runs Redis for tests: servers of the test's own, on loopback ports that the system chose, with
// nothing in common with any other on the machine. It needs redis-server, as Debian's package redis-server has it; its
// service is not used.
package redistest
