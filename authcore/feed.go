package authcore

import (
	"context"
	"time"
)

// NodeEvent is a message between the nodes of a deployment. The stores have the change before it is published.
type NodeEvent struct {
	Account  AccountID
	Sessions []SessionID // these are over
	Epoch    int64       // sessions of earlier epochs of the account are over, except Kept
	Kept     SessionID
	Changed  bool      // the stored account changed
	Away     SessionID // to be shown as offline
	Keys     bool      // the signing keys changed; then nothing else is set
}

// NodeReceipt is the answer of one node to an event.
type NodeReceipt struct {
	Node     string
	Answered bool          // false if it did not answer in time, or left
	Closed   int           // live connections that it told to close
	Took     time.Duration // from the publication to its answer
}

// Feed carries events between the nodes of a deployment. A node is known while it follows, and until it has been silent
// for a few seconds.
type Feed interface {
	// Publish stores an event for every node that follows, then waits until each other known node has answered, the
	// feed's own timeout is over, or ctx ends. A node's silence is not an error. An error means that the event may not
	// have been stored. This node's own follower does not get the event.
	Publish(ctx context.Context, e NodeEvent) ([]NodeReceipt, error)

	// Follow delivers the events of other nodes, one at a time and in the order in which they were stored, and returns
	// when ctx ends. It survives every failure. There is one follower at a time.
	Follow(ctx context.Context, f Follower)
}

// Follower takes the events of a [Feed]. Its methods return soon.
type Follower interface {
	// Reset reports that events may have been missed, so that anything looked up before this call may be out of date. It
	// is the first call, and comes again after every break, before Fresh.
	Reset()

	// Apply carries an event out, and returns how many live connections it told to close.
	Apply(e NodeEvent) int

	// Fresh reports that every event that was stored before at (by this process's clock) has been applied. It comes about
	// twice a second even without events; if it stops, the feed is broken.
	Fresh(at time.Time)
}
