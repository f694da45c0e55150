// Package irc holds the end-to-end tests of the gate before an IRC server: real gateway processes before a real ngIRCd, with
// a real WeeChat and with clients that send exact bytes.
//
// What one client does is seen by another, or in the server's log: who is there, under which name, from where, and that
// nothing of a client that was refused ever got there.
package irc
