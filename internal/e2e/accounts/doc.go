// Package accounts tests what spans dialects, over two deployments: two gateways with PostgreSQL and Redis, and one with
// SQLite. An account is one account everywhere, and of those who race for the same thing one gets it, whichever way they
// come.
package accounts
