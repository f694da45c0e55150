// Package stream cuts a stream of bytes into lines, for both protocols of the TCP side, without ever holding more than one
// of them. It knows how lines end; what may be in one, and what follows if it may not, is for the protocols to say. It is
// pure: no clock, no connection.
package stream
