package authcore

import (
	"context"
	"crypto/hmac"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ResetRequest is a request for a code for a new password.
type ResetRequest struct {
	ClaimedName string
	Client      Client
}

// PendingReset is what the client needs in addition to the code.
type PendingReset struct {
	UserHash string
	Request  RequestID
}

// UserHash returns the keyed hash of a name, in hexadecimal digits: stable for an account, and not reversible.
func (s *Service) UserHash(name Username) string {
	return hex.EncodeToString(hashFields(s.state.userKey, "user", string(name)))
}

// RequestReset sends a code to the address of an account, and replaces an earlier one. Kinds: RateLimited,
// UnknownAccount, AccountDisabled, NoEmail, MailFailed, Unavailable. Where accounts are concealed, only RateLimited and
// Unavailable are errors, and it waits for nothing that only happens for a known account.
func (s *Service) RequestReset(ctx context.Context, r ResetRequest) (PendingReset, error) {
	floor := time.Now().Add(trialFloor)
	if err := s.take(ctx, LimitLogin, r.Client, s.policy.LoginRate); err != nil {
		return PendingReset{}, err
	}
	at, err := s.claimedAccount(ctx, r.ClaimedName, r.Client)
	if err != nil {
		return PendingReset{}, err
	}
	if err := s.takeSend(ctx, at.class, at.key); err != nil {
		return PendingReset{}, err
	}
	name, err := CanonicalUsername(r.ClaimedName)
	if err != nil {
		name = Username(trimClaimed(r.ClaimedName)) // unknown, but hashed all the same
	}
	p := PendingReset{UserHash: s.UserHash(name), Request: RequestID(randomID(16))}
	send := func(ctx context.Context, deliver func(Notice) error) error {
		return s.sendReset(ctx, at.account, p.Request, r.Client, deliver)
	}
	if s.policy.Conceal {
		// What could keep a code from being sent is asked before it is known whether there is one to send.
		place, err := s.mailer.Hold()
		if err != nil {
			return PendingReset{}, noCodeNow(err)
		}
		taken := s.state.runIn(s.state.senders, ctx, "sending a code", func(ctx context.Context) error {
			defer place.Release()
			err := send(ctx, place.Queue)
			switch KindOf(err) {
			case KindUnknownAccount, KindAccountDisabled, KindNoEmail, KindMailFailed: // expected, or logged already
				return nil
			default:
				return err
			}
		})
		if !taken {
			place.Release()
			return PendingReset{}, noCodeNow(errors.New("too much runs in the background"))
		}
		return p, nil
	}
	err = send(ctx, func(n Notice) error { return s.mailer.Send(ctx, n) })
	pause(ctx, time.Until(floor))
	if err != nil {
		return PendingReset{}, err
	}
	return p, nil
}

// noCodeNow is the error of a code that cannot be sent for now, to whomever.
func noCodeNow(err error) error {
	return &Error{Kind: KindUnavailable, Msg: "no message can be sent now", Err: err, RetryAfter: time.Second}
}

// sendReset makes a code, stores it and mails it, if the account can get mail.
func (s *Service) sendReset(ctx context.Context, a Account, request RequestID, c Client, deliver func(Notice) error) error {
	switch {
	case a.ID == "":
		return Errorf(KindUnknownAccount, "no account has this name")
	case a.Disabled:
		return Errorf(KindAccountDisabled, "this account is closed")
	case a.Email == "":
		return errNoEmail
	}
	code, err := newOneTimeCode()
	if err != nil {
		return err
	}
	now := s.wholeNow()
	stored := Code{Request: request, Account: a.ID, Purpose: CodeReset, ExpiresAt: now.Add(CodeLifetime)}
	stored.Hash = s.state.codeHash(&stored, code)
	if err := exec(ctx, "storing a code", func(ctx context.Context) error { return s.state.options.Codes.PutCode(ctx, stored) }); err != nil {
		return err
	}
	err = deliver(Notice{
		Kind: NoticeResetCode, To: Email(a.Email), Username: a.Username, Code: code, Lifetime: CodeLifetime,
		Device: DeviceLabel(c.UserAgent), Addr: c.Addr, At: now,
	})
	if err != nil {
		s.publish(failed(EventResetCodeUnsent, a, c, err))
		return &Error{Kind: KindMailFailed, Msg: "the message could not be sent", Err: err}
	}
	s.publish(about(EventResetCodeSent, a, c))
	return nil
}

// PasswordReset is a claim to have been sent a code.
type PasswordReset struct {
	UserHash string
	Request  RequestID
	Code     string
	Password Password // the new one
	Client   Client
}

// Format keeps the code out of logs and errors.
func (PasswordReset) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[password reset]")) }

// MarshalText keeps it out of JSON.
func (PasswordReset) MarshalText() ([]byte, error) { return []byte("[password reset]"), nil }

var errBadCode = &Error{Kind: KindBadCode, Msg: "the code is not valid, or not any more"}

// ResetPassword sets the password of the account that the code was sent to, ends all of its sessions on every node, and
// notifies its owner. It confirms the address that the code was sent to, as [Service.ConfirmEmail] does. Kinds: RateLimited, WeakPassword, BadCode, AccountDisabled, Unavailable; after the last, a login
// tells whether it was set. A weak password does not use up the code. A wrong code costs the same, and gets the same
// answer, whether or not there is an account.
func (s *Service) ResetPassword(ctx context.Context, r PasswordReset) error {
	start, floor := s.state.options.Now(), time.Now().Add(trialFloor)
	// A user hash is hex, which may come in capitals; a request is base64, whose case counts.
	r.Request, r.UserHash = RequestID(trimClaimed(string(r.Request))), strings.ToLower(trimClaimed(r.UserHash))
	if err := s.take(ctx, LimitLogin, r.Client, s.policy.LoginRate); err != nil {
		return err
	}
	if err := r.Password.check(s.policy.MinPassword, ""); err != nil {
		return err
	}
	a, err := s.redeemReset(ctx, r)
	if err != nil {
		return s.answerTrial(ctx, floor, err)
	}
	s.publish(byOwner(EventPasswordReset, a, r.Client))
	s.noteNetwork(a.ID, r.Client)
	s.clearLogins(context.WithoutCancel(ctx), a.ID, r.Client)
	_, err = s.revoke(ctx, NodeEvent{Account: a.ID, Epoch: a.Epoch}, byOwner(EventSessionsEnded, a, r.Client), start)
	return err
}

// redeemReset sets the password of the account that the code was sent to, and returns the changed account.
func (s *Service) redeemReset(ctx context.Context, r PasswordReset) (Account, error) {
	if !isRandomID(string(r.Request)) {
		return Account{}, errBadCode
	}
	c, err := query(ctx, "looking up a code", func(ctx context.Context) (Code, error) {
		return s.state.options.Codes.TryCode(ctx, CodeReset, r.Request, s.wholeNow())
	})
	if err != nil {
		return Account{}, err
	}
	a, err := s.accountByID(ctx, c.Account)
	if KindOf(err) == KindUnknownAccount {
		return Account{}, errBadCode
	}
	if err != nil {
		return Account{}, err
	}
	err = s.tryCode(ctx, trial{
		class: LimitAccount, key: codeTries(a.ID), account: a, client: r.Client, wrong: EventWrongCode,
		right: func() bool {
			right := hmac.Equal(c.Hash, s.state.codeHash(&c, parseCode(r.Code)))
			return hmac.Equal([]byte(r.UserHash), []byte(s.UserHash(a.Username))) && right
		},
		use: func(ctx context.Context) (err error) {
			a, err = s.setPassword(ctx, c, a, r)
			return err
		},
	})
	return a, err
}

// setPassword sets the password of a with a right code.
func (s *Service) setPassword(ctx context.Context, c Code, a Account, r PasswordReset) (Account, error) {
	if err := r.Password.check(s.policy.MinPassword, a.Username); err != nil {
		return Account{}, err
	}
	fresh, err := s.hasher.hash(ctx, caller{addr: r.Client.Addr, known: true}, r.Password)
	if err != nil {
		return Account{}, err
	}
	a, err = query(ctx, "changing a password", func(ctx context.Context) (Account, error) {
		return s.state.options.Codes.ResetPassword(ctx, c.Request, c.Hash, fresh, s.wholeNow())
	})
	if KindOf(err) == KindUnknownAccount { // gone meanwhile
		err = errBadCode
	}
	return a, err
}

// clearLogins forgets the failed logins of an account, by its owner and by strangers, after its password changed. If it
// fails, the delays expire.
func (s *Service) clearLogins(ctx context.Context, account AccountID, owner Client) {
	t := tally{class: LimitAccount, key: string(account), client: owner}
	for _, c := range t.counters() {
		err := exec(ctx, "clearing attempts", func(ctx context.Context) error { return s.state.options.Limits.Clear(ctx, c.class, c.key) })
		if err != nil {
			s.state.options.Log.Warn("cannot clear the failed logins of an account; its delays expire by themselves", "account", account, "error", err)
		}
	}
}
