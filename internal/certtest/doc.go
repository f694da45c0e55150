// Package certtest makes certificates for tests: an authority of the test's own, and what it vouches for.
package certtest
