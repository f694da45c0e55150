package authcore

import (
	"context"
	"crypto/hmac"
	"fmt"
	"time"
)

// PhoneValidation is a claim to have received a code at a number.
type PhoneValidation struct {
	ClaimedPhone string
	Code         string
	Client       Client
}

// Format keeps the code out of logs and errors.
func (PhoneValidation) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[phone validation]")) }

// MarshalText keeps it out of JSON.
func (PhoneValidation) MarshalText() ([]byte, error) { return []byte("[phone validation]"), nil }

var (
	errUnknownPhone = &Error{Kind: KindInvalidPhone, Msg: "no code was sent to this number, or none that is still good"}
	errUnknownEmail = &Error{Kind: KindInvalidEmail, Msg: "no code was sent to this address"}
)

// ValidatePhone records that a number is validated, and completes that part of its account's registration. Kinds:
// RateLimited, InvalidPhone (also if the number has no pending code), BadCode, Unavailable. Where accounts are concealed,
// a number without a pending code is BadCode.
func (s *Service) ValidatePhone(ctx context.Context, v PhoneValidation) error {
	floor := time.Now().Add(trialFloor)
	if s.state.options.Phones == nil {
		return errNoPhones
	}
	if err := s.take(ctx, LimitLogin, v.Client, s.policy.LoginRate); err != nil {
		return err
	}
	phone, err := ParsePhone(v.ClaimedPhone)
	if err != nil {
		return err
	}
	return s.answerTrial(ctx, floor, s.validatePhone(ctx, PhoneHash(s.state.phoneKey, phone), v))
}

func (s *Service) validatePhone(ctx context.Context, hash []byte, v PhoneValidation) error {
	codes, err := query(ctx, "looking up a code", func(ctx context.Context) ([]PhoneCode, error) {
		return s.state.options.Phones.TryPhoneCodes(ctx, hash, s.wholeNow())
	})
	switch {
	case KindOf(err) == KindInvalidPhone:
		return errUnknownPhone
	case err != nil:
		return err
	}
	var match *PhoneCode
	err = s.tryCode(ctx, trial{
		class: LimitTarget, key: "code:" + phoneKey(hash), client: v.Client, wrong: EventWrongPhoneCode,
		right: func() bool {
			for i := range codes {
				if hmac.Equal(codes[i].Hash, s.state.phoneCodeHash(&codes[i], parseCode(v.Code))) {
					match = &codes[i]
				}
			}
			return match != nil
		},
		use: func(ctx context.Context) error {
			return exec(ctx, "validating a number", func(ctx context.Context) error {
				return s.state.options.Phones.ValidatePhone(ctx, *match, s.wholeNow())
			})
		},
	})
	if err != nil {
		return err
	}
	s.publish(Event{Kind: EventPhoneValidated, Account: match.Account, By: match.Account, Client: v.Client})
	return nil
}

// EmailValidation is a claim to have received a code at an address.
type EmailValidation struct {
	ClaimedEmail string
	Code         string
	Client       Client
}

// Format keeps the code out of logs and errors.
func (EmailValidation) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[e-mail validation]")) }

// MarshalText keeps it out of JSON.
func (EmailValidation) MarshalText() ([]byte, error) { return []byte("[e-mail validation]"), nil }

// ValidateEmail records that the address of an account is validated, and that no other account has it. Kinds: RateLimited, InvalidEmail (also if no account
// has the address pending), BadCode, Unavailable. Where accounts are concealed, an address that is not pending is BadCode.
func (s *Service) ValidateEmail(ctx context.Context, v EmailValidation) error {
	floor := time.Now().Add(trialFloor)
	if err := s.take(ctx, LimitLogin, v.Client, s.policy.LoginRate); err != nil {
		return err
	}
	email, err := ParseEmail(v.ClaimedEmail)
	if err != nil {
		return err
	}
	return s.answerTrial(ctx, floor, s.validateEmail(ctx, EmailHash(s.state.emailKey, email), v))
}

func (s *Service) validateEmail(ctx context.Context, hash []byte, v EmailValidation) error {
	codes, err := query(ctx, "looking up a code", func(ctx context.Context) ([]Code, error) {
		return s.state.options.Codes.TryEmailCodes(ctx, hash, s.wholeNow())
	})
	switch {
	case KindOf(err) == KindInvalidEmail:
		return errUnknownEmail
	case err != nil:
		return err
	}
	var match Code
	err = s.tryCode(ctx, trial{
		class: LimitTarget, key: "code:" + emailKey(hash), client: v.Client, wrong: EventWrongEmailCode,
		right: func() bool {
			for i := range codes {
				right := hmac.Equal(codes[i].Hash, s.state.codeHash(&codes[i], parseCode(v.Code)))
				if right && codes[i].Request == s.state.emailRequest(codes[i].Account, hash) { // and not to an address of before
					match = codes[i]
				}
			}
			return match.Account != ""
		},
		use: func(ctx context.Context) error { return s.useEmailCode(ctx, match, hash) },
	})
	if err != nil {
		return err
	}
	s.publish(Event{Kind: EventEmailValidated, Account: match.Account, By: match.Account, Client: v.Client})
	return nil
}
