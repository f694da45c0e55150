package authcore

import (
	"errors"
	"fmt"
)

// Service has every operation of the domain, under one policy. Dialects use nothing else. It is safe for concurrent use.
type Service struct {
	state  *State
	hasher *hasher
	policy Policy
	tokens *tokens
	mailer Mailer
	texter Texter
	owners Subscriber // mails what owners are to know; nil without mail
}

// ServiceOptions configure a [Service].
type ServiceOptions struct {
	State  *State
	Policy Policy
	Mailer Mailer // nil: no mail
	Texter Texter // nil: no text messages
}

// NewService checks the policy.
func NewService(o ServiceOptions) (*Service, error) {
	if err := o.Policy.Validate(); err != nil {
		return nil, err
	}
	if o.Policy.SessionMax > o.State.options.MaxTokens {
		return nil, fmt.Errorf("session_max (%s) is longer than signing keys are kept (%s); lower it", o.Policy.SessionMax, o.State.options.MaxTokens)
	}
	hasher, err := newHasher(o.Policy.Hash)
	if err != nil {
		return nil, fmt.Errorf("hash: %w", err)
	}
	t, err := newTokens(o.State.keyring, o.Policy.Issuer, o.Policy.Audience, o.Policy.SessionMax, o.State.options.Now)
	if err != nil {
		return nil, err
	}
	s := &Service{state: o.State, hasher: hasher, policy: o.Policy, tokens: t, mailer: noMail{}, texter: noTexts{}}
	if o.Mailer != nil {
		s.mailer, s.owners = o.Mailer, s.notify
	}
	if o.Policy.ConfirmedEmail && !s.confirms() {
		return nil, errors.New("confirmed_address is required, but mail is off, so no address can be confirmed")
	}
	if o.Texter != nil {
		s.texter = o.Texter
	}
	return s, nil
}
