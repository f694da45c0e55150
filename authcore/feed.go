package authcore

import (
	"context"
	"time"
)

// NodeEvent is what the nodes of a deployment tell each other. The stores know already when one is published.
type NodeEvent struct {
	Account  AccountID
	Sessions []SessionID // these are over
	Epoch    int64       // sessions of earlier epochs of the account are over, but Kept
	Kept     SessionID
	Changed  bool      // what the stores say of the account changed
	Away     SessionID // is shown as offline
	Keys     bool      // the signing keys changed; then nothing else is set
}

// NodeReceipt is what one node answered to an event.
type NodeReceipt struct {
	Node     string
	Answered bool          // false: it did not within the time there was, or it left meanwhile
	Closed   int           // live connections that it told to close
	Took     time.Duration // from the publication until its answer was here
}

// Feed carries events between the nodes of a deployment. A node is known from when it begins to follow until it stops,
// or has not been heard of for a few seconds.
type Feed interface {
	// Publish stores an event, so that every node that follows sees it, and then waits until each known node but this
	// one has answered, for a time that the feed sets, or until ctx ends. Silence of a node is no error. An error means
	// that the event may not have been stored. The event is not delivered to this node's own follower.
	Publish(ctx context.Context, e NodeEvent) ([]NodeReceipt, error)

	// Follow delivers what other nodes publish, one at a time and in the order in which it was stored, until ctx ends,
	// and returns then. It survives every failure. There is one follower at a time.
	Follow(ctx context.Context, f Follower)
}

// Follower is told what happens on a [Feed]. Its methods return soon.
type Follower interface {
	// Reset says that events may have been missed: whatever was looked up before this call may be over. It comes first
	// of all, and again after every break, before Fresh.
	Reset()

	// Apply does what an event says, and returns how many live connections it told to close.
	Apply(e NodeEvent) int

	// Fresh says that every event that was stored before at (by this process's clock) has been applied. Where nothing
	// happens it comes about twice a second; when it stays away, the feed is broken.
	Fresh(at time.Time)
}
