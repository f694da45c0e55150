package authcore

import (
	"context"
	"crypto/hmac"
	"fmt"
	"time"
)

// PhoneValidation is a claim to have been sent a code to a number.
type PhoneValidation struct {
	ClaimedPhone string
	Code         string
	Client       Client
}

// Format keeps the code out of every log and error.
func (PhoneValidation) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[phone validation]")) }

// MarshalText keeps it out of JSON.
func (PhoneValidation) MarshalText() ([]byte, error) { return []byte("[phone validation]"), nil }

var (
	errUnknownPhone = &Error{Kind: KindInvalidPhone, Msg: "no code was sent to this number, or none that is still good"}
	errUnknownEmail = &Error{Kind: KindInvalidEmail, Msg: "no code was sent to this address"}
)

// ValidatePhone records that whoever was sent a code reads a number, and frees the account that it was sent for from
// waiting for that. Kinds: RateLimited, InvalidPhone (also if no code waits for the number), BadCode, Unavailable. Where
// accounts are concealed, a number that no code waits for is a bad code.
func (s *Service) ValidatePhone(ctx context.Context, v PhoneValidation) error {
	floor := time.Now().Add(resetFloor)
	if s.Phones == nil {
		return errNoPhones
	}
	if err := s.take(ctx, LimitLogin, v.Client, s.policy.LoginRate); err != nil {
		return err
	}
	phone, err := ParsePhone(v.ClaimedPhone)
	if err != nil {
		return err
	}
	return s.judged(ctx, floor, s.validatePhone(ctx, PhoneHash(s.phoneKey, phone), v))
}

// judged takes as long to say that a code is wrong as that there is nobody it could be for.
func (s *Service) judged(ctx context.Context, floor time.Time, err error) error {
	if k := KindOf(err); err == nil || k == KindUnavailable || k == KindInternal {
		return err
	}
	pause(ctx, time.Until(floor))
	if s.policy.Conceal {
		return errBadCode
	}
	return err
}

func (s *Service) validatePhone(ctx context.Context, hash []byte, v PhoneValidation) error {
	codes, err := ask(ctx, "looking up a code", func(ctx context.Context) ([]PhoneCode, error) {
		return s.Phones.TryPhoneCodes(ctx, hash, s.wholeNow())
	})
	switch {
	case KindOf(err) == KindInvalidPhone:
		return errUnknownPhone
	case err != nil:
		return err
	}
	key := "code:" + phoneKey(hash)
	if err := s.tryCode(ctx, LimitTarget, key, v.Client); err != nil {
		return err
	}
	var right *PhoneCode
	for i := range codes {
		if hmac.Equal(codes[i].Hash, s.phoneCodeHash(&codes[i], parseCode(v.Code))) {
			right = &codes[i]
		}
	}
	if right == nil {
		s.Log.Warn("a wrong code for a number was tried", "dialect", v.Client.Dialect, "client_ip", v.Client.Addr)
		return errBadCode
	}
	err = tell(ctx, "validating a number", func(ctx context.Context) error { return s.Phones.ValidatePhone(ctx, *right, s.wholeNow()) })
	s.rightCode(context.WithoutCancel(ctx), LimitTarget, key, err)
	if err != nil {
		return err
	}
	s.Log.Info("phone number validated", "account", right.Account, "dialect", v.Client.Dialect, "client_ip", v.Client.Addr)
	return nil
}

// EmailValidation is a claim to have been sent a code to an address.
type EmailValidation struct {
	ClaimedEmail string
	Code         string
	Client       Client
}

// Format keeps the code out of every log and error.
func (EmailValidation) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[e-mail validation]")) }

// MarshalText keeps it out of JSON.
func (EmailValidation) MarshalText() ([]byte, error) { return []byte("[e-mail validation]"), nil }

// ValidateEmail frees an account from waiting for its address to be validated. Kinds: RateLimited, InvalidEmail (also if
// no account waits for the address), BadCode, Unavailable. Where accounts are concealed, an address that none waits for
// is a bad code.
func (s *Service) ValidateEmail(ctx context.Context, v EmailValidation) error {
	floor := time.Now().Add(resetFloor)
	if err := s.take(ctx, LimitLogin, v.Client, s.policy.LoginRate); err != nil {
		return err
	}
	email, err := ParseEmail(v.ClaimedEmail)
	if err != nil {
		return err
	}
	return s.judged(ctx, floor, s.validateEmail(ctx, EmailHash(s.emailKey, email), v))
}

func (s *Service) validateEmail(ctx context.Context, hash []byte, v EmailValidation) error {
	a, err := ask(ctx, "looking up an account", func(ctx context.Context) (Account, error) { return s.Accounts.AccountByEmailHash(ctx, hash) })
	switch {
	case KindOf(err) == KindUnknownAccount || err == nil && !a.EmailPending:
		return errUnknownEmail
	case err != nil:
		return err
	}
	request := s.emailRequest(a.ID, hash)
	c, err := ask(ctx, "looking up a code", func(ctx context.Context) (Code, error) {
		return s.Codes.TryCode(ctx, CodeEmail, request, s.wholeNow())
	})
	if err != nil {
		return err
	}
	key := codeTries(a.ID)
	if err := s.tryCode(ctx, LimitAccount, key, v.Client); err != nil {
		return err
	}
	if !hmac.Equal(c.Hash, s.codeHash(&c, parseCode(v.Code))) {
		s.Log.Warn("a wrong code was tried", "account", a.ID, "dialect", v.Client.Dialect, "client_ip", v.Client.Addr)
		return errBadCode
	}
	err = tell(ctx, "validating an address", func(ctx context.Context) error {
		return s.Codes.ConfirmEmail(ctx, request, c.Hash, hash, s.wholeNow())
	})
	s.rightCode(context.WithoutCancel(ctx), LimitAccount, key, err)
	if err != nil {
		return err
	}
	s.Log.Info("e-mail address validated", "account", a.ID, "dialect", v.Client.Dialect, "client_ip", v.Client.Addr)
	return nil
}

// tryCode counts a try before it is judged, over all codes of whatever it is counted under: a new code makes up for none.
func (s *Service) tryCode(ctx context.Context, class LimitClass, key string, c Client) error {
	wait, err := ask(ctx, "counting a code", func(ctx context.Context) (time.Duration, error) {
		return s.Limits.Attempt(ctx, class, key, codeBackoff)
	})
	if err != nil {
		return err
	}
	if wait > 0 {
		s.Log.Warn("a code was delayed after failures", "dialect", c.Dialect, "client_ip", c.Addr, "wait", wait)
		return rateLimited(wait)
	}
	return nil
}

// rightCode takes back that the try of a code was counted, since the code was right; what was wrong before it is forgotten
// once it was of use. It may fail: the delays lapse by themselves.
func (s *Service) rightCode(ctx context.Context, class LimitClass, key string, used error) {
	err := tell(ctx, "forgiving", func(ctx context.Context) error {
		if used == nil {
			return s.Limits.Clear(ctx, class, key)
		}
		return s.Limits.Forgive(ctx, class, key, codeBackoff)
	})
	if err != nil {
		s.Log.Warn("forgiving a code that was right failed", "error", err)
	}
}
