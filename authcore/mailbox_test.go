package authcore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// mailbox is a Mailer that keeps what it is given.
type mailbox struct {
	mu     sync.Mutex
	sent   []Notice      // delivered while somebody waited
	queued []Notice      // in the background
	all    []Notice      // in their order
	takes  time.Duration // to deliver
	broken error
	full   bool
	held   int // places
}

func (b *mailbox) Send(ctx context.Context, n Notice) error {
	b.mu.Lock()
	takes := b.takes
	b.mu.Unlock()
	if takes > 0 && !pause(ctx, takes) {
		return ctx.Err()
	}
	return b.keep(&b.sent, n)
}

func (b *mailbox) Queue(n Notice) error { return b.keep(&b.queued, n) }

// Hold fails as Queue does while the queue is full.
func (b *mailbox) Hold() (MailPlace, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full {
		return nil, errors.New("full")
	}
	b.held++
	return &mailPlace{b: b}, nil
}

type mailPlace struct {
	b    *mailbox
	used bool
}

func (p *mailPlace) Queue(n Notice) error {
	p.used = true
	p.b.set(func() { p.b.held-- })
	return p.b.Queue(n)
}

func (p *mailPlace) Release() {
	if !p.used {
		p.used = true
		p.b.set(func() { p.b.held-- })
	}
}

func (b *mailbox) keep(in *[]Notice, n Notice) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken == nil {
		*in, b.all = append(*in, n), append(b.all, n)
	}
	return b.broken
}

func (b *mailbox) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

// told returns the kinds of all notices so far, and who was told.
func (b *mailbox) told() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := ""
	for _, n := range b.all {
		out += fmt.Sprintf("%s to %s;", n.Kind, n.To)
	}
	return out
}

// last returns the latest notice, whichever way it went.
func (b *mailbox) last() Notice {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.all) == 0 {
		return Notice{}
	}
	return b.all[len(b.all)-1]
}

// take returns the latest notice as last does, and forgets it.
func (b *mailbox) take() Notice {
	n := b.last()
	b.set(func() {
		b.all = b.all[:max(len(b.all)-1, 0)]
		b.sent = slices.DeleteFunc(b.sent, func(o Notice) bool { return o == n })
		b.queued = slices.DeleteFunc(b.queued, func(o Notice) bool { return o == n })
	})
	return n
}

// outbox is a Texter that keeps what it is given.
type outbox struct {
	mu     sync.Mutex
	sent   []sms
	broken error
	hang   bool // until the caller gives up
}

type sms struct{ to, text string }

func (b *outbox) Send(ctx context.Context, to Phone, text string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if b.broken == nil {
		b.sent = append(b.sent, sms{string(to), text})
	}
	return b.broken
}

func (b *outbox) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

func (b *outbox) all() []sms {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.sent)
}

var (
	_ Mailer = (*mailbox)(nil)
	_ Texter = (*outbox)(nil)
)
