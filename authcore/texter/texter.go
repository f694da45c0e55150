package texter

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/chatgate/chatgate/authcore"
)

// Options configure a [Texter]. Set either Webhook or Dir.
type Options struct {
	Webhook *Webhook
	Dir     string // a directory for messages, one file each
}

// transport delivers messages.
type transport interface {
	deliver(ctx context.Context, to, text string) error
	close()
}

// Texter sends text messages. It is safe for concurrent use.
type Texter struct {
	via          transport
	sent, failed atomic.Uint64
}

// New checks the options. It connects to nothing.
func New(o Options) (*Texter, error) {
	switch {
	case (o.Webhook == nil) == (o.Dir == ""):
		return nil, errors.New("texter: set either a webhook or a directory")
	case o.Dir != "":
		return &Texter{via: directory(o.Dir)}, nil
	}
	w, err := o.Webhook.open()
	if err != nil {
		return nil, err
	}
	return &Texter{via: w}, nil
}

// Send implements [authcore.Texter].
func (t *Texter) Send(ctx context.Context, to authcore.Phone, text string) error {
	err := t.via.deliver(ctx, string(to), text)
	if err != nil {
		t.failed.Add(1)
		return err
	}
	t.sent.Add(1)
	return nil
}

// Stats are the counters of a [Texter], for metrics.
type Stats struct{ Sent, Failed uint64 }

// Stats returns the current counters.
func (t *Texter) Stats() Stats { return Stats{t.sent.Load(), t.failed.Load()} }

// Close closes idle connections.
func (t *Texter) Close() { t.via.close() }

var _ authcore.Texter = (*Texter)(nil)
