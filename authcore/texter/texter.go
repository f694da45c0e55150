package texter

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/chatgate/chatgate/authcore"
)

// Options say where messages go. One of Webhook and Dir is set.
type Options struct {
	Webhook *Webhook
	Dir     string // where messages are written to instead, one file each
}

// transport is one way for messages to leave.
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
		return nil, errors.New("texter: either a webhook or a directory is needed")
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

// Stats are figures of a [Texter], for metrics.
type Stats struct{ Sent, Failed uint64 }

// Stats returns them as they are now.
func (t *Texter) Stats() Stats { return Stats{t.sent.Load(), t.failed.Load()} }

// Close lets go of connections that are not in use.
func (t *Texter) Close() { t.via.close() }

var _ authcore.Texter = (*Texter)(nil)
