// Package relay carries a connection once it is decided: it relays WebSocket frames between a downstream and an upstream
// until either side, or the session that the connection hangs on, ends.
//
// With [Raw], a relay carries any stream of bytes instead, for the TCP side. One side may then finish before the other, a
// read-only client's bytes are dropped or end the connection, and what is ended is closed without a word; but where the
// stream consists of lines, a [Filter] may judge those of the client, and have the last one.
//
// It knows authcore, and neither Caddy nor HTTP.
//
// Invariants of a relay:
//   - Both directions follow the frame headers without copying, so that what is injected lands between two frames.
//   - Nothing of a frame is passed on before its header was judged: a visitor's data frame never reaches the upstream.
//   - Two goroutines, one a direction, with no buffer while nothing flows; the last to leave closes both sides.
//   - Behind a close frame a side stays open until its own has come, it ends, or its time is up: two seconds where the frame
//     was ours, five where it was passed on, since the answer may come behind a message that is under way. The downstream
//     is then half-closed by us, and the upstream is expected to end first.
//   - Every wait has an end: writes have a deadline, and once one side is over the other has a few seconds.
package relay
