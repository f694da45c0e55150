package authcore

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// NoticeKind says what an e-mail is about. There is a template for each.
type NoticeKind uint8

// The kinds. [NoticeKinds] lists them all.
const (
	NoticeResetCode       NoticeKind = iota // a code to choose a new password with
	NoticeConfirmCode                       // a code to prove that the address is read
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
	Code     OneTimeCode   // of those with a code
	Lifetime time.Duration // of the code
	Device   string        // that did it, see [DeviceLabel]
	Addr     netip.Addr    // of the client that did it
	At       time.Time
}

// Mailer sends notices.
type Mailer interface {
	// Send delivers a notice to the next mail server, and returns when that has taken or refused it, or ctx ends. It is
	// tried once.
	Send(ctx context.Context, n Notice) error

	// Queue takes a notice for delivery in the background, with retries, and returns at once. An error means that it was
	// not taken.
	Queue(n Notice) error
}

// noMail is the Mailer of a service without mail.
type noMail struct{}

var errNoMail = errors.New("mail is off")

func (noMail) Send(context.Context, Notice) error { return errNoMail }
func (noMail) Queue(Notice) error                 { return errNoMail }

// notify is the [Subscriber] that writes to the owners of accounts, where there is an address.
func (s *Service) notify(e Event) {
	if e.email == "" {
		return
	}
	switch e.Kind { //nolint:exhaustive // owners are not written to about the others
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
		s.state.options.Log.Warn("a notice could not be queued", "notice", k.String(), "account", e.Account, "error", err)
	}
}

// noteDevice notifies the owner of an account of a login from a device that it was never used from before, but not of the
// first device of all.
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
