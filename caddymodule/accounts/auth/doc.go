// Package auth is the account dialect of auth.txt: its routes, wire types and answers, with short tokens that can be
// refreshed, invites, profiles and the caller's sessions. It identifies accounts by e-mail address, and never says whether
// an address has one. Its transcripts are in testdata, with clients in other languages that play the contract.
package auth
