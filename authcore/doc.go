// Package authcore is chatgate's domain: accounts, passwords, sessions, tokens, limits and the live connections that
// hang on a session.
//
// It owns every decision about who somebody is and whether they still are. It knows no Caddy, no database driver and
// no net/http; dialects decode a request, make one call on [Service] and encode what comes back, or translate the
// error's [Kind]. Stores implement [AccountStore], [SessionStore] and [KeyStore], whose comments are the contract and
// whose suite is package storetest.
//
// Invariants:
//   - A username is canonicalised in one place, [ParseUsername]; stores, counters and tokens see only its result.
//   - No password hash is computed before the limits were asked, outside the [Hasher]'s semaphore, or while a store's
//     connection is held.
//   - Every [Identity] was proven against a live session, and becomes worthless when that session ends: what was
//     registered as live under it is told so ([LiveConn]).
//   - Errors that leave the package are [Error] values; their Msg may be shown, what they wrap may not.
package authcore
