package mailer

import "sync/atomic"

// Stats are the counters of a [Mailer], for metrics. Every message ends in one of the first three.
type Stats struct {
	Sent    uint64 // accepted by the mail server
	Failed  uint64 // refused or given up
	Dropped uint64 // not queued, or lost from the queue
	Queued  int    // waiting or being sent from the queue now
}

// Stats returns the current counters.
func (m *Mailer) Stats() Stats {
	return Stats{m.tally.sent.Load(), m.tally.failed.Load(), m.tally.dropped.Load(), m.queue.length()}
}

type tally struct{ sent, failed, dropped atomic.Uint64 }

func (t *tally) count(err error) {
	if err == nil {
		t.sent.Add(1)
	} else {
		t.failed.Add(1)
	}
}

func (t *tally) drop(n int) { t.dropped.Add(uint64(n)) } //nolint:gosec // never negative
