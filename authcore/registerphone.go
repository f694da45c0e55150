package authcore

import (
	"bytes"
	"context"
	"errors"
	"unicode/utf8"

	"github.com/google/uuid"
)

// PhoneRegistration is a request for an account with a phone number to validate.
type PhoneRegistration struct {
	ClaimedName  string
	Password     Password
	ClaimedPhone string
	ClaimedEmail string // optional; only its hash is kept
	Client       Client

	// The dialect's own bounds, in code points; 0: none.
	MinUsername, MaxUsername int
	MinPassword, MaxPassword int
}

var errUsernameTaken = &Error{Kind: KindUsernameTaken, Msg: "this username is taken"}

// phoneClaims are the checked fields of a [PhoneRegistration].
type phoneClaims struct {
	name      Username
	phone     Phone
	phoneHash []byte
	email     Email
	emailHash []byte // nil without one
}

// RegisterByPhone makes an account that can be used once its number is validated, and its address if it has one, and
// sends a code to each. Repeated with the same name and password before that, it sends new codes for those not validated
// yet, and may change the number or address. Kinds: RegistrationClosed, InviteRequired, RateLimited, InvalidUsername,
// WeakPassword, InvalidPhone, InvalidEmail, UsernameTaken, PhoneTaken, EmailTaken, AccountDisabled, Unavailable; after
// the last, the account may have been made, and repeating the call is safe. Where accounts are concealed, PhoneTaken is
// not an error; the owner of the number gets a message.
func (s *Service) RegisterByPhone(ctx context.Context, r PhoneRegistration) error {
	switch s.policy.Registration {
	case RegistrationOpen:
	case RegistrationInvited:
		return Errorf(KindInviteRequired, "an invite is needed")
	default:
		return Errorf(KindRegistrationClosed, "new accounts are not accepted here")
	}
	switch {
	case s.state.options.Phones == nil || s.texter == (noTexts{}):
		return errNoPhones
	case r.ClaimedEmail != "" && !s.confirms():
		return errNoAddresses
	case r.ClaimedEmail == "" && s.policy.ConfirmedEmail:
		return errEmailIsRequired
	}
	c, err := s.judgePhoneRegistration(r)
	if err != nil {
		return err
	}
	if err := s.take(ctx, LimitSignup, r.Client, s.policy.SignupRate); err != nil {
		return err
	}
	a, err := s.accountByUsername(ctx, c.name)
	if fresh := KindOf(err) == KindUnknownAccount; fresh {
		a = Account{
			ID: AccountID(uuid.NewString()), Username: c.name, EmailHash: c.emailHash, PhonePending: true, EmailPending: c.emailHash != nil,
			CreatedAt: s.wholeNow(),
		}
		if err := s.takeMessages(ctx, a, c, r.Client); err != nil {
			return err
		}
		if a.PasswordHash, err = s.hasher.hash(ctx, caller{addr: r.Client.Addr}, r.Password); err != nil {
			return err
		}
		if a, err = s.createAccount(ctx, a, nil, r.Client); err != nil {
			return err
		}
	} else {
		if err != nil {
			return err
		}
		if a, err = s.resumeRegistration(ctx, a, c, r); err != nil {
			return err
		}
	}
	if a.EmailPending { // first, as it costs nothing
		switch err := s.sendEmailCode(ctx, a, c.email, r.Client, s.mailer.Queue); {
		case KindOf(err) == KindMailFailed: // the queue is full, or closed
			return unavailable("queueing a code", errors.Unwrap(err))
		case err != nil:
			return err
		}
	}
	if a.PhonePending {
		return s.sendPhoneCode(ctx, a, c.phone, r.Client)
	}
	return nil
}

// judgePhoneRegistration makes the checks that need no store.
func (s *Service) judgePhoneRegistration(r PhoneRegistration) (c phoneClaims, err error) {
	if c.name, err = ParseUsername(r.ClaimedName); err != nil {
		return c, err
	}
	if n := utf8.RuneCountInString(string(c.name)); n < r.MinUsername || r.MaxUsername > 0 && n > r.MaxUsername {
		return c, Errorf(KindInvalidUsername, "a username has %d to %d characters here", r.MinUsername, r.MaxUsername)
	}
	if err := r.Password.check(max(s.policy.MinPassword, r.MinPassword), c.name); err != nil {
		return c, err
	}
	if n, _ := r.Password.normal(); r.MaxPassword > 0 && utf8.RuneCount(n) > r.MaxPassword {
		return c, Errorf(KindWeakPassword, "a password has up to %d characters here", r.MaxPassword)
	}
	if c.phone, err = ParsePhone(r.ClaimedPhone); err != nil {
		return c, err
	}
	if !s.policy.texts(c.phone) {
		return c, errBadPhone
	}
	c.phoneHash = PhoneHash(s.state.phoneKey, c.phone)
	if r.ClaimedEmail != "" {
		if c.email, err = ParseEmail(r.ClaimedEmail); err != nil {
			return c, err
		}
		c.emailHash = EmailHash(s.state.emailKey, c.email)
	}
	return c, nil
}

// takeMessages counts the messages for an account before anything is sent or hashed. It also refuses a number that is
// validated already.
func (s *Service) takeMessages(ctx context.Context, a Account, c phoneClaims, client Client) error {
	if a.PhonePending {
		if err := s.take(ctx, LimitText, client, textsAnHour); err != nil {
			return err
		}
		if !s.policy.Conceal {
			taken, err := query(ctx, "looking up a number", func(ctx context.Context) (bool, error) {
				return s.state.options.Phones.PhoneValidated(ctx, c.phoneHash)
			})
			if err != nil {
				return err
			}
			if taken {
				return Errorf(KindPhoneTaken, "this phone number was validated already")
			}
		}
	}
	if a.EmailPending {
		if err := s.takeEmail(ctx, c.emailHash, client); err != nil {
			return err
		}
	}
	if a.PhonePending { // last, because this budget is scarce
		return s.takeText(ctx, c.phoneHash)
	}
	return nil
}

// resumeRegistration checks the password of an account that is not validated yet, and returns it with its new address.
func (s *Service) resumeRegistration(ctx context.Context, a Account, c phoneClaims, r PhoneRegistration) (Account, error) {
	if a.pending() == nil {
		return Account{}, errUsernameTaken
	}
	_, err := s.provePassword(ctx, attemptOn(a, r.Client), r.Password)
	if KindOf(err) == KindWrongPassword { // somebody else wants the same name
		err = errUsernameTaken
	}
	if err != nil {
		return Account{}, err
	}
	changed := false
	if a.EmailPending || a.EmailHash == nil { // a validated one stays
		changed = !bytes.Equal(a.EmailHash, c.emailHash)
		a.EmailHash, a.EmailPending = c.emailHash, c.emailHash != nil
	}
	if err := s.takeMessages(ctx, a, c, r.Client); err != nil {
		return Account{}, err
	}
	if changed {
		err := exec(ctx, "changing an address", func(ctx context.Context) error { return s.state.options.Phones.SetPendingEmail(ctx, a.ID, a.EmailHash) })
		if KindOf(err) == KindUnknownAccount { // validated meanwhile
			err = errUsernameTaken
		}
		if err != nil {
			return Account{}, err
		}
	}
	return a, nil
}
