// Package authcore is chatgate's domain: accounts, passwords, sessions, tokens, one-time codes, invites, limits and the
// live connections that hang on a session.
//
// It owns every decision about who somebody is and whether they still are. It knows no Caddy, no database driver, no
// net/http and no SMTP; dialects decode a request, make one call on [Service] and encode what comes back, or translate
// the error's [Kind]. Stores implement the interfaces of stores.go, [LimitStore] and [Feed], whose comments are the
// contract and whose suite is package storetest; a [Mailer] takes the [Notice] values that owners of accounts are to get,
// and a [Texter] the codes for phone numbers.
//
// Invariants:
//   - A username is canonicalised in one place, [ParseUsername]; stores, counters and tokens see only its result.
//   - No password hash is computed before the limits were asked, outside the hasher's semaphore, or while a store's
//     connection is held.
//   - [Service] is the only door: what is not a method of it, no dialect can do.
//   - A password is proven in one place, proveAttempt, and a code is tried in one place, tryCode; a new kind of proof goes
//     through the same counters.
//   - What happens is published as an [Event], in one line an operation. Logs, metrics and mails subscribe; publishing never
//     blocks and never fails the operation.
//   - Every [Identity] was proven against a live session, and becomes worthless when that session ends: what was
//     registered as live under it is told so ([LiveConn]).
//   - A token belongs to a generation of its session. The newest and the one before it are good, for proofs and for
//     [Service.Refresh]; whoever brings an older one to a refresh ends the session.
//   - What is good once (a code, a use of an invite) is used up by the write that it is good for, in the accounts'
//     database. Tries of codes are counted before they are judged.
//   - A phone number is kept as a keyed hash, apart from accounts. Only the record of a code that waits for it knows both,
//     and goes with it. An account that was made with a number, or over the dialect that asks for one with an address, is
//     of no use until those are validated, whatever dialect it logs in over; one without a validated number goes after a day.
//   - Where accounts are concealed, nothing is waited for that only happens for an account, and nobody is answered like
//     somebody.
//   - Errors that leave the package are [Error] values; their Msg may be shown, what they wrap may not. Passwords, codes,
//     invites and tokens have types that do not print.
package authcore
