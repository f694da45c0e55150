// Package envelope is how rooms.txt answers: every body is {"error", "data"}, one of them null, and each error has its status
// and code there. The account dialect rooms answers so, and so does chatgate_proxy, whose WebSocket is in the same contract.
package envelope
