// Package closing holds the end-to-end tests of how WebSockets end: clients that share no code with the gateway, and watch
// for the end of the stream in ways of their own, must all be told the close code that chatgate sent.
//
// The clients are aiohttp and websockets for Python and ws for Node from Debian, undici and websocket for Node from npm,
// pinned in testdata and put there by test.sh, and Chromium. Over HTTP/2 and 3, where they speak no WebSocket, a client of
// frames stands in.
package closing
