// Package demo is a small chat that stands in for a legacy one: a page, and rooms behind WebSockets.
//
// It owns rooms, their recent history and the sockets of their members, all in memory. It knows no accounts, no passwords and
// no tokens: two request headers tell who somebody is, and whether they may write. It therefore belongs behind a gateway that
// strips and sets those headers and checks origins, on an address that only the gateway can reach. For everything about
// accounts, the page talks to that gateway.
//
// A member sends
//
//	{"text": "…"}
//
// and gets, the room's history first,
//
//	{"id": 7, "from": "alice", "text": "…", "at": "2026-11-21T08:00:00Z"}   a message, also to its sender
//	{"event": "join", "user": "alice"}                                     her first socket came; or "part", her last went
//	{"error": "…"}                                                         to the sender alone: the message is refused
//
// Invariants:
//   - All members of a room see its messages in one order, with ids that grow by one. Ids start again if an empty room was
//     evicted.
//   - Publishing never blocks on a member: one that falls behind is closed with 1013 and may come back for the history.
//   - While a member is late, senders are read more slowly, so that a burst does not drive out members who listen.
//   - Every socket has deadlines and a size limit, and [Handler.Close] waits for every goroutine.
package demo
