package authcore

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// NoticeKind is the subject of an e-mail. There is a template for each.
type NoticeKind uint8

// The kinds. [NoticeKinds] lists them all.
const (
	NoticeResetCode       NoticeKind = iota // a code for a new password
	NoticeConfirmCode                       // a code that confirms the address
	NoticePasswordChanged                   // the password was changed
	NoticeNewDevice                         // a login from a device that was not seen before
	NoticeTokenTheft                        // an old token was used again, so its session was ended

	numNotices
)

var noticeNames = [numNotices]string{"reset-code", "confirm-code", "password-changed", "new-device", "token-theft"}

// String returns the kind's stable name, which is its template's as well.
func (k NoticeKind) String() string {
	if k < numNotices {
		return noticeNames[k]
	}
	return "unknown"
}

// HasCode reports whether somebody waits for the notice, since it has a code.
func (k NoticeKind) HasCode() bool { return k == NoticeResetCode || k == NoticeConfirmCode }

// NoticeKinds returns every kind.
func NoticeKinds() []NoticeKind {
	ks := make([]NoticeKind, numNotices)
	for i := range ks {
		ks[i] = NoticeKind(i)
	}
	return ks
}

// Notice is an e-mail to the owner of an account.
type Notice struct {
	Kind     NoticeKind
	To       Email
	Username Username
	Code     OneTimeCode   // empty in a notice without one
	Lifetime time.Duration // of the code
	Device   string        // of the client, see [DeviceLabel]
	Addr     netip.Addr    // of the client
	At       time.Time
}

// Mailer sends notices.
type Mailer interface {
	// Send delivers a notice to the mail server, without a retry, and returns when that has accepted or refused it, or ctx
	// ends.
	Send(ctx context.Context, n Notice) error

	// Queue queues a notice for delivery in the background, with retries, and returns at once. An error means that it is
	// not queued.
	Queue(n Notice) error

	// Hold takes a place in the queue for a notice with a code that may be made later, whoever it is for. An error means that
	// there is none.
	Hold() (MailPlace, error)
}

// MailPlace is a place in the queue of a [Mailer].
type MailPlace interface {
	// Queue is that of the Mailer, and takes the place. It is called once at most.
	Queue(n Notice) error

	// Release gives the place back, unless it was taken.
	Release()
}

// noMail is the Mailer of a service without mail.
type noMail struct{}

var errNoMail = errors.New("mail is off")

func (noMail) Send(context.Context, Notice) error { return errNoMail }
func (noMail) Queue(Notice) error                 { return errNoMail }
func (noMail) Hold() (MailPlace, error)           { return noPlace{}, nil } // what is not configured is not told

// noPlace is a place in no queue.
type noPlace struct{}

func (noPlace) Queue(Notice) error { return errNoMail }
func (noPlace) Release()           {}

// notify is the subscriber that writes to the owners of accounts, where there is mail. One whose address is a claim is not
// written to: it may be anybody's.
func (s *Service) notify(e Event) {
	if e.email == "" {
		return
	}
	switch e.Kind { //nolint:exhaustive // owners get no mail about the others
	case EventLogin:
		s.noteDevice(e)
	case EventPasswordReset:
		s.writeNotice(NoticePasswordChanged, e)
	case EventTokenTheft:
		if !e.repeated {
			s.writeNotice(NoticeTokenTheft, e)
		}
	}
}

// How many notices of a kind an account, and an address, may be sent: five at once, and one more every 20 minutes. Who
// could have an owner sent so many of one kind that they are not read any more cannot hide those of another behind them.
var noticesOfAKind = Rate{Burst: 5, Per: 100 * time.Minute}

// writeNotice queues a notice in the background.
func (s *Service) writeNotice(k NoticeKind, e Event) {
	if e.confirmed {
		s.state.background(context.Background(), "writing a notice", func(ctx context.Context) error { return s.queueNotice(ctx, k, e) })
	}
}

// queueNotice queues a notice to whoever reads their address, unless they were sent too many of its kind.
func (s *Service) queueNotice(ctx context.Context, k NoticeKind, e Event) error {
	if !e.confirmed {
		return nil
	}
	for _, budget := range []struct {
		class LimitClass
		key   string
	}{{LimitAccount, string(e.Account)}, {LimitTarget, emailKey(EmailHash(s.state.emailKey, Email(e.email)))}} {
		wait, err := query(ctx, "counting a notice", func(ctx context.Context) (time.Duration, error) {
			return s.state.options.Limits.Take(ctx, budget.class, "notice:"+k.String()+":"+budget.key, noticesOfAKind)
		})
		if err != nil {
			return err
		}
		if wait > 0 {
			s.state.options.Log.Warn("a notice was left out, since there were many of its kind", "notice", k.String(), "account", e.Account)
			return nil
		}
	}
	err := s.mailer.Queue(Notice{
		Kind: k, To: Email(e.email), Username: e.Username, Device: DeviceLabel(e.Client.UserAgent), Addr: e.Client.Addr, At: e.At.UTC().Truncate(time.Millisecond),
	})
	if err != nil {
		s.state.options.Log.Warn("cannot queue a notice", "notice", k.String(), "account", e.Account, "error", err)
	}
	return nil
}

// noteDevice notifies the owner of an account of a login from a new device, unless it is the account's first.
func (s *Service) noteDevice(e Event) {
	device := hashFields(s.state.codeKey, "device", string(e.Account), DeviceLabel(e.Client.UserAgent))
	s.state.background(context.Background(), "noting a device", func(ctx context.Context) error {
		known, others, err := s.state.options.Devices.NoteDevice(ctx, e.Account, device, s.wholeNow())
		if err == nil && !known && others {
			err = s.queueNotice(ctx, NoticeNewDevice, e)
		}
		return err
	})
}
