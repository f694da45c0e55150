// Package caller finds out who sent a request: the client's address, the bearer token, and the account behind a token or a
// cookie. A request authenticates a token at most once, so that it cannot belong to two accounts. A cookie without a good
// token is removed rather than refused, since browsers send cookies whether or not they are of use.
package caller
