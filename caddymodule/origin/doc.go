// Package origin reads the option origins, and lets the pages that it allows read what every handler answers (CORS). Which page
// made a request is decided in package chatroom, once for all of them.
package origin
