// Package rooms is the account dialect of rooms.txt: its routes and wire types. It answers in the envelope of that
// contract. Its transcripts are in testdata.
package rooms
