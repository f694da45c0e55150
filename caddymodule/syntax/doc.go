// Package syntax reads single values of options: words, numbers, durations and rates, addresses with a password in them,
// secrets and files. Package option makes options of them. What reads at a token of a Caddyfile returns errors with file and
// line; no error shows a secret.
package syntax
