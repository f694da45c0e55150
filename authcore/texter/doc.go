// Package texter sends text messages for the domain: it implements [authcore.Texter].
//
// It owns how a message leaves this process: in a request to a provider's HTTP interface, or as a file in a directory, for
// trying out. It decides nothing about who is sent what; the domain counts before it asks.
//
// What holds:
//
//   - What a request says is the operator's template, with the number and the text escaped for its content type.
//   - A redirect is not followed, and of an answer no more than its status and Retry-After matter: 2xx is success.
//   - What a provider says it could not do (429, 5xx), and what there was no connection for, is tried again after a delay.
//     What was sent and not answered is not: it might arrive, and be paid for, twice.
//   - Neither a number, a text, the URL, nor anything that the provider wrote is in an error.
package texter
