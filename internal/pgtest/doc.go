// Package pgtest runs PostgreSQL for tests: a server of the test's own, on a loopback port that the system chose, with
// nothing in common with any other on the machine. It needs initdb and postgres, as Debian's package postgresql has
// them; their cluster is not used. Before a server there can be a pooler, for which it needs Debian's package pgbouncer.
package pgtest
