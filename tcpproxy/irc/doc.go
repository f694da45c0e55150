// Package irc is the wire of a gate before IRC servers: what a client says until it is registered ([Registration]), what
// the upstream says until it has taken the client in ([Introduction]), what the client may say from then on ([Filter]), and
// a reader that takes lines from a connection without ever holding more than one of them ([Reader]). It is pure: no clock,
// no connection, no accounts.
//
// The lines are those of RFC 1459 and RFC 2812, the capabilities and SASL those of IRCv3. Nothing is held of a line that is
// longer than they allow. Servers differ in what ends a line and where its command is: what goes on has one form that they
// all read alike, and what is no message, with a CR or NUL inside for one, never reaches anybody.
package irc
