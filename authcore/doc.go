// Package authcore is chatgate's domain: accounts, passwords, sessions, tokens, one-time codes, invites, limits and the
// live connections of sessions.
//
// It decides who a caller is, and when that ends. It knows no Caddy, no database driver, no net/http and no SMTP.
// Dialects decode a request, make one call on [Service] and encode the result, or translate the error's [Kind]. Stores
// implement the interfaces of stores.go, [LimitStore] and [Feed]; the comments there are the contract, and package
// storetest is its test suite. A [Mailer] sends the [Notice] values for account owners, and a [Texter] the codes for
// phone numbers.
//
// Invariants:
//   - Only [ParseUsername] canonicalises usernames; stores, counters and tokens see only its result.
//   - No password hash is computed before the limits are checked, outside the hasher's turnstile, or while a store's
//     connection is held.
//   - [Service] is the only door: dialects can do nothing but call its methods.
//   - Passwords are proven in one place, proveAttempt, and codes are tried in one place, tryCode; a new kind of proof uses
//     the same counters.
//   - Each operation publishes what happened as an [Event]. Logs, metrics and mails subscribe; publishing never blocks and
//     never fails the operation.
//   - Every [Identity] was proven against a live session, and becomes worthless when that session ends: the connections
//     registered under it ([LiveConn]) are told to close.
//   - A token belongs to a generation of its session. For proofs every generation is valid until the token expires; for
//     [Service.Refresh], the newest and the one before it, and older ones for a minute. A refresh with an older one after
//     that is refused, and ends the session if it comes from another client than the latest refresh.
//   - Anything that is valid once (a code, a use of an invite) is used up in the transaction of its effect, in the
//     accounts' database. A try of a code is counted before it is judged.
//   - A phone number is kept as a keyed hash, apart from accounts. Only the record of a pending code has both, and is
//     deleted with the code. An account that was made with a phone number is of no use in any dialect until that number,
//     and the address given with it, are validated; without a validated number it is deleted after a day.
//   - Where accounts are concealed, an unknown account gets the same answers as a known one, after the same work; a
//     request waits for nothing that only happens for a known one.
//   - Errors that leave the package are [Error] values; their Msg may be shown, the errors that they wrap may not.
//     Passwords, codes, invites and tokens have types that do not print.
package authcore
