// Package origin reads the option origins, for every handler that pages of other origins may call. Which page made a request is
// decided in package chatroom, once for all of them.
package origin
