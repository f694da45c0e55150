// Package line replays the contract of the line dialect against real gateway processes, over TLS, with an SMS provider and
// a mail server that keep what they are sent, and with legacy chats behind the gate: the files of testdata read like the
// contract, see package transcript for their form. Independent clients, in Python and Go, play it from start to end; and
// the rows of the attack catalogue for lines and for text messages are tests of their names.
package line
