package app

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/chatgate/chatgate/authcore"
)

// MailModule is a module in the namespace chatgate.mail: it sends e-mail.
type MailModule interface {
	caddy.Module

	// Fingerprint says which mailer is meant, without a secret in clear (see [Fingerprint]). It is different whenever the
	// issuer or anything about the way out is, and different from those of other modules: a reload that has the same one
	// goes on with the same mailer. An empty one means that mail is off. It is asked for after Provision.
	Fingerprint(issuer string) string

	// Open makes the mailer, which has the issuer as the link in messages if that is an https URL. It connects to nothing
	// before there is a message. It is called once for as long as any configuration needs the mailer, also after Cleanup of
	// the one that it belongs to.
	Open(issuer string) (Mailer, error)
}

// Mailer sends e-mail.
type Mailer interface {
	authcore.Mailer

	// Stats returns the figures as they are now.
	Stats() MailStats

	// Close takes nothing more, and goes on until the queue is empty or ctx ends. An error says how much was lost.
	Close(ctx context.Context) error
}

// MailStats are figures of a [Mailer], for metrics. All but Queued only grow.
type MailStats struct {
	Sent    uint64 // taken by the mail server
	Failed  uint64 // refused there, or given up before
	Dropped uint64 // from the queue
	Queued  int    // that wait or are being sent
}

// FileSender is a [MailModule] or an [SMSModule] that writes messages to a directory and sends them to nobody. There is a
// warning, and the check of directories looks at it.
type FileSender interface {
	// Directory is asked for after Provision.
	Directory() string
}

// unmarshalMail reads mail <transport> …, with the parser of chatgate.mail.<transport>.
func (a *App) unmarshalMail(d *caddyfile.Dispenser) (err error) {
	_, a.MailRaw, err = unmarshalGuest[MailModule](d, mailGuest)
	return err
}

// mailing is how e-mail leaves. Without a key it does not.
type mailing struct {
	key    string // says which mailer is meant, and holds no secret
	issuer string
	module MailModule
}

// loadSenders provisions the modules that say how messages leave.
func (a *App) loadSenders(ctx caddy.Context) error {
	if isSet(a.MailRaw) {
		m, err := loadGuest[MailModule](ctx, a, mailGuest, "MailRaw", a.MailRaw)
		if err != nil {
			return err
		}
		a.mail = mailing{m.Fingerprint(a.policy.Issuer), a.policy.Issuer, m}
	}
	if isSet(a.SMSRaw) {
		m, err := loadGuest[SMSModule](ctx, a, smsGuest, "SMSRaw", a.SMSRaw)
		if err != nil {
			return err
		}
		a.sms = m
	}
	return nil
}

// warnOfMail says what an operator may not have thought of.
func (a *App) warnOfMail() {
	if a.mail.key == "" {
		return
	}
	if to, ok := a.mail.module.(FileSender); ok {
		a.logger.Warn("mail is written to files, and sent to nobody", zap.String("directory", to.Directory()))
	} else if !strings.HasPrefix(a.policy.Issuer, "https://") {
		a.logger.Warn("messages have no link, since the issuer is no https URL", zap.String("issuer", a.policy.Issuer))
	}
}

// mails holds every mailer in use, by what it was configured with: so a reload that changes nothing about mail loses
// nothing of its queue.
var mails = caddy.NewUsagePool()

// mailExit is how long a mailer may go on with its queue when the process is going away.
const mailExit = 5 * time.Second

// mailHolder is a place in the pool. It is empty until open.
type mailHolder struct {
	mailing

	mu     sync.Mutex
	mailer Mailer
}

// takeMail returns nil where there is no mail.
func takeMail(m mailing) (*mailHolder, error) {
	if m.key == "" {
		return nil, nil
	}
	h, _, err := mails.LoadOrNew(m.key, func() (caddy.Destructor, error) { return &mailHolder{mailing: m}, nil })
	if err != nil {
		return nil, err
	}
	return h.(*mailHolder), nil
}

// open returns the mailer, or nil where there is none. The first to ask begins its work.
func (h *mailHolder) open() (authcore.Mailer, error) {
	if h == nil {
		return nil, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mailer == nil {
		m, err := h.module.Open(h.issuer)
		if err != nil {
			return nil, fmt.Errorf("mail: %w", err)
		}
		mailed.add(m)
		h.mailer = m
	}
	return h.mailer, nil
}

func (h *mailHolder) release() error {
	if h == nil {
		return nil
	}
	_, err := mails.Delete(h.key)
	return err
}

// Destruct implements caddy.Destructor: the last reference is gone. On a reload nobody waits for what is still in the
// queue.
func (h *mailHolder) Destruct() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.mailer
	if m == nil {
		return nil
	}
	h.mailer = nil
	if !caddy.Exiting() {
		retired.add(m)
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), mailExit)
	defer cancel()
	return closeMailer(ctx, m)
}

func closeMailer(ctx context.Context, m Mailer) error {
	err := m.Close(ctx)
	mailed.remove(m)
	if err != nil {
		return fmt.Errorf("closing mail: %w", err)
	}
	return nil
}
