// Package line is the wire of the line protocol: requests and replies as text, and a reader that takes lines from a
// connection without ever holding more than one of them. It is pure: no clock, no store, no accounts.
//
// A request is a verb and its arguments, key:value, on one line of at most [MaxLine] bytes that ends in LF or CRLF. A value
// has no spaces unless it stands in double quotes, with \" and \\ inside. One request has exactly one [Reply].
package line
