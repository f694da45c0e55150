// Package lifecycle holds the end-to-end tests of what happens to connections over time: reloads, logouts, expiry,
// restarts, floods, a full disk, and many connections that come and go.
package lifecycle
