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
}

// noMail is the Mailer of a service without mail.
type noMail struct{}

var errNoMail = errors.New("mail is off")

func (noMail) Send(context.Context, Notice) error { return errNoMail }
func (noMail) Queue(Notice) error                 { return errNoMail }

// notify is the [Subscriber] that mails the owners of accounts, if the account has an address.
func (s *Service) notify(e Event) {
	if e.email == "" {
		return
	}
	switch e.Kind { //nolint:exhaustive // owners get no mail about the others
	case EventLogin:
		s.noteDevice(e)
	case EventPasswordReset:
		s.queueNotice(NoticePasswordChanged, e)
	case EventTokenTheft:
		if !e.repeated {
			s.queueNotice(NoticeTokenTheft, e)
		}
	}
}

func (s *Service) queueNotice(k NoticeKind, e Event) {
	err := s.mailer.Queue(Notice{
		Kind: k, To: Email(e.email), Username: e.Username, Device: DeviceLabel(e.Client.UserAgent), Addr: e.Client.Addr, At: e.At.UTC().Truncate(time.Millisecond),
	})
	if err != nil {
		s.state.options.Log.Warn("cannot queue a notice", "notice", k.String(), "account", e.Account, "error", err)
	}
}

// noteDevice notifies the owner of an account of a login from a new device, unless it is the account's first.
func (s *Service) noteDevice(e Event) {
	device := hashFields(s.state.codeKey, "device", string(e.Account), DeviceLabel(e.Client.UserAgent))
	s.state.background(context.Background(), "noting a device", func(ctx context.Context) error {
		known, others, err := s.state.options.Devices.NoteDevice(ctx, e.Account, device, s.wholeNow())
		if err == nil && !known && others {
			s.queueNotice(NoticeNewDevice, e)
		}
		return err
	})
}
