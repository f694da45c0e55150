// Package demo is a small chat that stands in for a legacy one: a page, and rooms behind WebSockets.
//
// It owns rooms, their recent history and the sockets of their members, all of it in memory. It knows no accounts, no
// passwords and no tokens: who somebody is, and whether they may write, is what two request headers say. It therefore
// belongs behind a gateway that strips and sets those headers and checks origins, on an address that only the gateway
// can reach. The page talks to that gateway for everything that concerns accounts.
//
// A member sends
//
//	{"text": "…"}
//
// and gets, the room's history first,
//
//	{"id": 7, "from": "alice", "text": "…", "at": "2026-11-21T08:00:00Z"}   a message, also to who sent it
//	{"event": "join", "user": "alice"}                                     her first socket came; or "part", her last went
//	{"error": "…"}                                                         to the sender alone: that message was no good
//
// Invariants:
//   - All members of a room see its messages in one order, with ids that grow by one. Ids start anew when a room that
//     stood empty was evicted.
//   - Publishing never blocks on a member: who falls behind is closed with 1013 and may come back for the history.
//   - While somebody is late, senders are read more slowly, so that a burst does not push out members who do listen.
//   - Every socket has deadlines and a size limit, and [Handler.Close] waits for every goroutine.
package demo
