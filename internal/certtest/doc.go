// Package certtest makes certificates for tests: an authority for a test with the certificates that it signs, and
// self-signed ones.
package certtest
