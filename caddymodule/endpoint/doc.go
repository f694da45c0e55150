// Package endpoint matches request paths with endpoints. A request to an endpoint may have a password in its body, so what any
// server would take for an endpoint, in whatever spelling, must not go on to the chat. [Spellings] finds those paths; it
// costs no allocation for a plain path.
package endpoint
