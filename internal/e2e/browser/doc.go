// Package browser holds the tests that look at chatgate from where its users are: Chromium on the demo chat's page, and
// clients of the rooms contract in other languages, which know nothing of this code. The gateway runs the repository's
// own Caddyfile.example, with other ports.
package browser
