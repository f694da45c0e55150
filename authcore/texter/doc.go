// Package texter sends text messages for the domain. It implements [authcore.Texter].
//
// It owns the transport: a request to a provider's HTTP interface, or a file in a directory for development. It decides
// nothing about who gets which message; the domain counts messages before it sends them.
//
// Invariants:
//
//   - A request's body is the operator's template, with the number and the text escaped for its content type.
//   - Redirects are not followed. Of an answer only the status, where 2xx is success, and Retry-After count.
//   - A request that the provider refused for now (429, 5xx), or that found no connection, is tried again after a delay.
//     A request without an answer is not: the message might arrive, and be paid for, twice.
//   - No error contains a number, a text, the URL, or anything that the provider wrote.
package texter
