// Package relay carries a connection once it is let in: it passes on what a downstream and an upstream say, until either
// side ends, or the session that the connection hangs on. It serves WebSockets and TCP alike.
//
// What the bytes consist of is the [Framing], of which there are three. [Frames] carry a WebSocket: a visitor's messages
// are refused, messages have a size limit, and a close frame of ours lands between two frames. [Bytes] carry any other
// stream: one side may finish before the other, what a visitor sends is dropped or ends the connection, and the end comes
// without a word. [Lines] are bytes with a [Filter], which judges the client's lines and has the last one.
//
// It knows authcore, and neither Caddy nor net/http. Whoever lets a connection in makes a relay of its upstream with [New],
// registers it as live, answers the client, and hands over both sides.
//
// Invariants of a relay:
//   - Both directions follow the frame headers without copying a payload.
//   - Nothing of a frame is passed on before its header was judged: a visitor's data frame never reaches the upstream, nor do
//     its pings, and its pongs only as answers.
//   - There are two goroutines, one a direction, without a buffer while nothing flows; the last one closes both sides.
//   - After a close frame a side stays open until its own has come, it ends, or its time is up: two seconds for a frame of
//     ours, five for one that was passed on, since its answer may come behind a message that is under way. Then we
//     half-close the downstream, and expect the upstream to end first.
//   - Every wait ends: writes have a deadline, and once one side is over the other has a few seconds.
package relay
