// Package users replays the contract of the users dialect against real gateway processes: the files of testdata read
// like the contract, see package transcript for their form. Independent clients, in JavaScript and Python, play it from
// start to end.
package users
