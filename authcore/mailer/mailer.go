package mailer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// Options configure a [Mailer]. Set either Server or Dir.
type Options struct {
	Server *Server
	Dir    string // a directory for messages, one file each

	From      Sender
	Issuer    string     // as in tokens; an https URL becomes the link in messages
	Templates *Templates // [LoadTemplates]("") if nil

	Queue      int           // messages that may wait; 1,000 if zero
	Workers    int           // queued messages sent at once, beside one code; 4 if zero
	MaxAge     time.Duration // until a message is given up; 1 h if zero; a message with a code no later than the code expires
	FirstRetry time.Duration // before the first retry; 5 s if zero; doubled for each further one, up to 5 min

	Now func() time.Time // time.Now if nil
	Log *slog.Logger     // slog.Default() if nil
}

// maxSends is how many calls of [Mailer.Send] may deliver at once.
const maxSends = 16

// transport delivers messages.
type transport interface {
	// deliver returns nil once the message is accepted, or a [failure].
	deliver(ctx context.Context, m envelope) error
}

// Mailer sends messages. It is safe for concurrent use.
type Mailer struct {
	transport transport
	sender    Sender
	issuer    issuer
	templates *Templates
	now       func() time.Time
	log       *slog.Logger

	sends chan struct{} // of maxSends
	queue *queue
	run   context.Context // for every delivery
	stop  context.CancelFunc
	work  sync.WaitGroup // the workers and the calls of Send
	tally tally
}

var errClosed = errors.New("mail is shutting down")

// New makes a mailer and starts its workers, which [Mailer.Close] ends. It neither opens nor connects to anything before
// the first message.
func New(o Options) (*Mailer, error) {
	m := &Mailer{
		sender: o.From, issuer: parseIssuer(o.Issuer), templates: o.Templates, now: o.Now, log: o.Log, sends: make(chan struct{}, maxSends),
	}
	switch {
	case o.From.address == "":
		return nil, errors.New("from is missing; set it to the sender's address")
	case (o.Server == nil) == (o.Dir == ""):
		return nil, errors.New("set either a server or a directory for messages")
	case o.Queue < 0 || o.Workers < 0 || o.MaxAge < 0 || o.FirstRetry < 0:
		return nil, errors.New("the queue, its workers and its times must not be negative")
	case o.Server != nil:
		s := *o.Server
		s.Hello = cmp.Or(s.Hello, o.From.domain())
		m.transport = s
	default:
		m.transport = directory(o.Dir)
	}
	if m.templates == nil {
		var err error
		if m.templates, err = LoadTemplates(""); err != nil {
			return nil, err
		}
	}
	if m.now == nil {
		m.now = time.Now
	}
	if m.log == nil {
		m.log = slog.Default()
	}
	m.queue = newQueue(cmp.Or(o.Queue, 1000), cmp.Or(o.MaxAge, time.Hour), cmp.Or(o.FirstRetry, 5*time.Second), m.now)
	m.run, m.stop = context.WithCancel(context.Background())
	for range cmp.Or(o.Workers, 4) {
		m.work.Go(func() { m.serve(false) })
	}
	m.work.Go(func() { m.serve(true) }) // so that no code waits for a server that takes its time with notices
	return m, nil
}

// Send implements [authcore.Mailer].
func (m *Mailer) Send(ctx context.Context, n authcore.Notice) error {
	if !m.queue.enter(&m.work) {
		return errClosed
	}
	defer m.work.Done()
	e, err := m.compose(n)
	if err == nil {
		err = m.sendNow(ctx, e)
	}
	m.tally.count(err)
	return err
}

func (m *Mailer) sendNow(ctx context.Context, e envelope) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	defer context.AfterFunc(m.run, cancel)()
	select {
	case m.sends <- struct{}{}:
		defer func() { <-m.sends }()
	case <-ctx.Done():
		return &failure{doing: "waiting for other messages to be sent", err: ctx.Err()}
	}
	return m.transport.deliver(ctx, e)
}

// Queue implements [authcore.Mailer].
func (m *Mailer) Queue(n authcore.Notice) error {
	return m.enqueue(n, false)
}

func (m *Mailer) enqueue(n authcore.Notice, held bool) error {
	e, err := m.compose(n)
	if err == nil {
		err = m.queue.add(e, n, held)
	}
	if err != nil {
		m.tally.drop(1)
	}
	return err
}

// Hold implements [authcore.Mailer].
func (m *Mailer) Hold() (authcore.MailPlace, error) {
	if err := m.queue.hold(); err != nil {
		return nil, err
	}
	return &place{mailer: m}, nil
}

// place is one for a code, in the queue of a mailer. It belongs to one goroutine.
type place struct {
	mailer *Mailer
	used   bool
}

func (p *place) Queue(n authcore.Notice) error {
	if p.used {
		return errors.New("the place in the queue is used already")
	}
	err := p.mailer.enqueue(n, true)
	p.used = err == nil
	return err
}

func (p *place) Release() {
	if !p.used {
		p.used = true
		p.mailer.queue.release()
	}
}

// serve delivers what is in the queue, or the codes in it alone, until that is closed and empty.
func (m *Mailer) serve(codesOnly bool) {
	for {
		j, ok := m.queue.take(m.run, codesOnly)
		if !ok {
			return
		}
		err := m.transport.deliver(m.run, j.envelope)
		log := m.log.With("notice", j.kind.String(), "domain", j.domain(), "tries", j.tries)
		switch {
		case err == nil:
			m.queue.done()
			m.tally.count(nil)
		case m.run.Err() != nil:
			m.queue.done()
			m.tally.drop(1)
			log.Warn("gave up a message because mail is shutting down", "error", err)
		case !passing(err):
			m.queue.done()
			m.tally.count(err)
			log.Error("a message was refused", "error", err)
		default:
			wait, ok := m.queue.again(j)
			if !ok {
				m.tally.count(err)
				log.Error("gave up a message because it is too old", "error", err)
				continue
			}
			log.Warn("cannot deliver a message; trying again", "error", err, "in", wait.Round(time.Millisecond))
		}
	}
}

// Close stops taking messages, sends those that wait without further delay, and returns when the queue is empty or ctx
// ends. Its error tells how many messages were lost.
func (m *Mailer) Close(ctx context.Context) error {
	m.queue.close()
	idle := make(chan struct{})
	go func() {
		m.work.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
	}
	m.stop()
	<-idle
	if lost := m.queue.empty(); lost > 0 {
		m.tally.drop(lost)
		return fmt.Errorf("lost %d messages in the queue", lost)
	}
	return nil
}

// Interface guard
var _ authcore.Mailer = (*Mailer)(nil)
