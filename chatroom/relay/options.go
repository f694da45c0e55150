package relay

import "time"

// Options are the rules that a connection keeps for its life, whatever is configured later.
type Options struct {
	ReadOnly bool          // the downstream may not write
	Framing  Framing       // what is relayed; nil means Frames{}
	MaxAge   time.Duration // ends the connection after so long, whatever happens; 0 means never
	WriteUp  time.Duration // for the upstream to take what is written; 0 means 30 s
	OnClose  func()        // called once, when both sides are closed

	times *times // nil means defaultTimes; tests have less patience
}

// times are how long a relay waits for what.
type times struct {
	write     time.Duration // for a peer to take what is written; then it counts as dead
	writeUp   time.Duration // likewise for the upstream; 0 means write
	flush     time.Duration // for a close frame to go out
	close     time.Duration // for the peer to answer it
	linger    time.Duration // for one side to finish once the other has, including a message that is under way
	look      time.Duration // before an end of stream is looked for that came in one event with frames
	lookBytes time.Duration // likewise with any other bytes, whose end is part of what a peer says
}

var defaultTimes = times{
	write: 30 * time.Second, flush: time.Second, close: 2 * time.Second, linger: 5 * time.Second,
	look: 5 * time.Second, lookBytes: 50 * time.Millisecond,
}
