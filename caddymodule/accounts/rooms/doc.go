// Package rooms is the account dialect of rooms.txt: its routes, wire types and answers. Every answer has the envelope
// {"error", "data"}, one of them null. chatgate_proxy refuses requests in the same envelope.
package rooms
