package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/chatgate/chatgate/authcore"
)

// MailModule is a module in the namespace chatgate.mail. It sends e-mail.
type MailModule interface {
	caddy.Module

	// Fingerprint identifies the mailer, without a secret in clear (see [Fingerprint]). It differs whenever the issuer or
	// any setting differs, and from those of other modules; a reload with the same one keeps the mailer. Empty means that
	// mail is off. It is called after Provision.
	Fingerprint(issuer string) string

	// Open makes the mailer. If the issuer is an https URL, it is the link in messages. Open connects to nothing before the
	// first message. It is called once while any configuration needs the mailer, maybe after this one's Cleanup.
	Open(issuer string) (Mailer, error)
}

// Mailer sends e-mail.
type Mailer interface {
	authcore.Mailer

	// Stats returns the current counters.
	Stats() MailStats

	// Close stops taking messages, and returns when the queue is empty or ctx ends. Its error tells how many were lost.
	Close(ctx context.Context) error
}

// MailStats are the counters of a [Mailer], for metrics. All but Queued only grow.
type MailStats struct {
	Sent    uint64 // accepted by the mail server
	Failed  uint64 // refused or given up
	Dropped uint64 // from the queue
	Queued  int    // waiting or being sent now
}

// FileSender is a [MailModule] or an [SMSModule] that writes messages to a directory instead of sending them. The app warns
// of it, and checks the directory's mode.
type FileSender interface {
	// Directory is called after Provision.
	Directory() string
}

// unmarshalMail reads mail <transport> …, with the parser of chatgate.mail.<transport>.
func (a *App) unmarshalMail(d *caddyfile.Dispenser) (err error) {
	_, a.MailRaw, err = unmarshalGuest[MailModule](d, mailGuest)
	return err
}

// mailing is the configuration of mail. Without a key mail is off.
type mailing struct {
	key    string // the module's Fingerprint
	issuer string
	module MailModule
}

// loadSenders provisions the modules of mail and text messages.
func (a *App) loadSenders(ctx caddy.Context) error {
	if isSet(a.MailRaw) {
		m, err := loadGuest[MailModule](ctx, a, mailGuest, "MailRaw", a.MailRaw)
		if err != nil {
			return err
		}
		a.mail = mailing{m.Fingerprint(a.policy.Issuer), a.policy.Issuer, m}
	}
	if a.policy.ConfirmedEmail && a.mail.key == "" {
		return errors.New("confirmed_address is required, but mail is off, so no address can be confirmed; set mail, or leave confirmed_address out")
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

// warnOfMail warns of settings that are unfit for production.
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

// mails holds every mailer in use, by its key, so that a reload that changes nothing about mail keeps the queue.
var mails = caddy.NewUsagePool()

// mailExit is how long a mailer may work on its queue when the process exits.
const mailExit = 5 * time.Second

// mailHolder is a place in the pool. It is empty until open.
type mailHolder struct {
	mailing

	mu     sync.Mutex
	mailer Mailer
}

// takeMail returns nil if mail is off.
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

// open returns the mailer, or nil if mail is off. The first caller starts it.
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

// Destruct implements caddy.Destructor, for the last reference. A reload does not wait for the queue.
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
