// Package users is the account dialect of users.txt: its routes, wire types and answers, the cookie ssid, and passwords reset
// with a code. It is the only dialect with a cookie, so the only one that checks the origin of a call. Its transcripts are
// in testdata, with clients in other languages that play the contract.
package users
