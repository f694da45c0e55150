package relay

import "time"

// Framing is what a relay carries: [Frames], [Bytes] or [Lines].
type Framing interface {
	// open returns the framing of one relay.
	open(r *Relay, readOnly bool) framing
}

// framing is what the bytes of one relay consist of. It decides what passes, where something of ours may stand between
// what the peers say, and what the end of one side means for the other. One value serves both directions.
type framing interface {
	// pass judges b, which p has read, and writes what may go on. It returns how many bytes it is done with: the rest,
	// less than maxHeader, is presented again with more behind it. An error ends p. The caller holds p.mu.
	pass(p *pump, b []byte) (int, error)
	// finished handles the end of what p reads; err is why.
	finished(p *pump, err error)
	// farewell tells both sides why the relay ends, where there is a way to, and bounds how long they take to leave. It
	// is called once.
	farewell(down, up CloseCode)
	// lookEvery bounds how long an end of stream may go unnoticed that came in the same event as data.
	lookEvery() time.Duration
}
