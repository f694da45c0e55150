// Package methods tests the WebSocket methods end to end: real gateway processes, in front of a small legacy chat that
// knows {m, r, d} and nothing of accounts, clients that send exact bytes, and a browser.
//
// A transcript of testdata reads like methods.txt, see package transcript; beside the marks there, "@@ name" opens a
// WebSocket to /ws and talks over it from here on. Its "+" lines are options of the chatgate block, its "*" lines options
// of chatgate_methods, where UPSTREAM is the address of the legacy chat.
package methods
