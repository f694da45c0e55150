// Package users is the account dialect of users.txt: its routes, wire types and answers, the cookie ssid, and passwords reset
// with a code. It is the only dialect with a cookie, so the only one that checks the origin of a call.
package users
