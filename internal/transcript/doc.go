// Package transcript replays files that read like a wire contract against a real gateway process: a request and the
// expected reply to the letter, frames of a WebSocket, what an upstream got, and what the database holds afterwards.
//
// A transcript is a list of lines. The first character says what a line is:
//
//	# a comment
//	+ * options that the test puts into its Caddyfile, see [Options]; before anything else
//	= what is shown from here on
//	& a header that every reply has from here on
//	@ the name of the connection that is talked over from here on, which stays open; else every request has its own
//	> a line that the client sends. Host, and Content-Length where there is a body, are added
//	>"…" bytes of the body, in Go's quotes, without a line break; >n×"…" is n times as many
//	< a line of the reply: the status, every header but Date and Content-Length, and the body
//	<"…" bytes of the body, as above
//	<!Name a header of every reply that this one does not have
//	^ what the upstream gets: the request line, a header with its value, or !Header for one that does not get there
//	~ nothing reaches the upstream
//	→ a text frame that the client sends; ← a text frame, or "close <code>" and the end, that it gets
//	@ listener:name is a connection over TLS that talks lines, to one of [Script.Listeners], and is open from here on:
//	→ a line that it sends, with LF; →"…" bytes, as above, in one write; → close and it says no more
//	← a line that it gets, up to LF; ←"…" bytes, as above; ← close and there is nothing more
//	$ <name> source argument: from here on <name> stands for what a source has, see [Script.Sources]. Where a text is in
//	  the place of the name, that is what the source is to have
//	? a query of the SQLite database accounts.db, or of another with ?name.db; what follows are its rows, in order:
//	| a row, its columns set apart by " | ", where NULL is null
//
// <name> stands for what is matched where it is met first, and for the same text from then on. A name is a kind, see
// kinds, and a number where there are several: <token>, <token2>. Kinds of what differs each time are only matched.
package transcript
