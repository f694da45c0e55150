// Package rooms replays the contract of the rooms dialect against real gateway processes: the files of testdata read
// like the contract, a request and the expected reply to the letter. See package transcript for their form.
package rooms
