// Package accounts tests what spans dialects, over two deployments: two gateways with PostgreSQL and Redis, and one with
// SQLite. An account is the same everywhere, and of concurrent callers in any dialects one wins.
package accounts
