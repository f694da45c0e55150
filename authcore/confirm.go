package authcore

import (
	"context"
	"crypto/hmac"
)

// An address is a claim until somebody proves to read it. With mail, several accounts may claim one; whoever proves it is
// the only one that has it from then on. Without mail nobody can, so that an address belongs to who claims it first, and
// nobody is told of it either way.

// confirms reports whether addresses can be confirmed here.
func (s *Service) confirms() bool { return s.mailer != (noMail{}) }

// greetAddress sends a code to the address of an account that was just made. The account does not depend on it: whoever
// gets none asks for one.
func (s *Service) greetAddress(ctx context.Context, a Account, c Client) {
	if a.Email == "" || !s.confirms() {
		return
	}
	ctx = context.WithoutCancel(ctx)
	err := s.takeEmail(ctx, a.EmailHash, c)
	if err == nil {
		err = s.sendEmailCode(ctx, a, Email(a.Email), c, s.mailer.Queue)
	}
	if err != nil && KindOf(err) != KindRateLimited {
		s.state.options.Log.Warn("a new account was sent no code for its address; its owner can ask for one", "account", a.ID, "error", err)
	}
}

// RequestEmailCode sends a code to the address of the actor's account, in the place of an earlier one, and returns when
// the mail server has taken it. Kinds: RateLimited, NoEmail (there is none, or only its hash is kept), InvalidInput (it is
// confirmed), SessionOver, MailFailed, Unavailable.
func (s *Service) RequestEmailCode(ctx context.Context, by Actor) error {
	a, err := s.Profile(ctx, by.Identity)
	if err != nil {
		return err
	}
	switch {
	case a.Email == "":
		return errNoEmail
	case a.EmailConfirmed:
		return Errorf(KindInvalidInput, "the e-mail address is confirmed already")
	}
	if err := s.takeSend(ctx, LimitAccount, "email:"+string(a.ID)); err != nil {
		return err
	}
	if err := s.takeEmail(ctx, a.EmailHash, by.Client); err != nil {
		return err
	}
	return s.sendEmailCode(ctx, a, Email(a.Email), by.Client, func(n Notice) error { return s.mailer.Send(ctx, n) })
}

// ConfirmEmail records that the owner of the actor's account reads its address. Other accounts that claimed it have none
// then. Upstreams are told the address from the next request or connection on, on every node. Kinds: RateLimited, NoEmail,
// BadCode, SessionOver, Unavailable.
func (s *Service) ConfirmEmail(ctx context.Context, by Actor, code string) error {
	if err := s.take(ctx, LimitLogin, by.Client, s.policy.LoginRate); err != nil {
		return err
	}
	a, err := s.Profile(ctx, by.Identity)
	if err != nil {
		return err
	}
	if a.EmailHash == nil {
		return errNoEmail
	}
	c, err := query(ctx, "looking up a code", func(ctx context.Context) (Code, error) {
		return s.state.options.Codes.TryCode(ctx, CodeEmail, s.state.emailRequest(a.ID, a.EmailHash), s.wholeNow())
	})
	if err != nil {
		return err
	}
	err = s.tryCode(ctx, trial{
		class: LimitAccount, key: codeTries(a.ID), account: a, client: by.Client, wrong: EventWrongCode,
		right: func() bool { return hmac.Equal(c.Hash, s.state.codeHash(&c, parseCode(code))) },
		use:   func(ctx context.Context) error { return s.useEmailCode(ctx, c, a.EmailHash) },
	})
	if err != nil {
		return err
	}
	s.publish(byOwner(EventEmailValidated, a, by.Client))
	return nil
}

// useEmailCode makes the account of a code that was right the one with an address.
func (s *Service) useEmailCode(ctx context.Context, c Code, emailHash []byte) error {
	err := exec(ctx, "validating an address", func(ctx context.Context) error {
		return s.state.options.Codes.ConfirmEmail(ctx, c.Request, c.Hash, emailHash, s.wholeNow())
	})
	if err == nil {
		s.tellChanged(ctx, c.Account)
	}
	return err
}

var (
	errNoEmail         = &Error{Kind: KindNoEmail, Msg: "this account has no e-mail address"}
	errUnconfirmed     = &Error{Kind: KindUnverifiedEmail, Msg: "the e-mail address is yet to be confirmed"}
	errEmailIsRequired = &Error{Kind: KindInvalidEmail, Msg: "an e-mail address is needed here"}
)

// admit refuses an account that the policy keeps out of the chat until its address is confirmed. It may still be logged in
// to, or nobody could confirm it.
func (s *Service) admit(a *Account) error {
	if s.policy.ConfirmedEmail && !a.EmailConfirmed {
		return errUnconfirmed
	}
	return nil
}
