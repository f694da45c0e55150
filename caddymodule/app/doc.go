// Package app is the Caddy app chatgate: its options, the stores and senders that it opens, the policy in force, and what
// survives a reload. Handlers get a [authcore.Service] from it for the length of a request; it imports none of them. It also
// runs the checks of a whole configuration, which package checks registers.
package app
