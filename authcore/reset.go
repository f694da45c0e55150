package authcore

import (
	"context"
	"crypto/hmac"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// How many codes may be sent to one account, or asked for with one name that is nobody's: three in any ten minutes, and
// five in any hour. A budget refills while it is spent, so what is more than that comes after the whole of the time.
var (
	sendsAtOnce = Rate{Burst: 3, Per: 3 * 10 * time.Minute}
	sendsAnHour = Rate{Burst: 5, Per: 5 * time.Hour}
)

// How wrong codes slow down the account that they were tried for, whichever code it was: a new one does not make up for
// it. A code that was right does.
var codeBackoff = Backoff{Free: CodeTries, Base: CodeLifetime, Max: 24 * time.Hour}

// resetFloor is the least time that it takes to say that a code is wrong, and to answer a request for one where accounts
// are not concealed: more than finding out whom it is about, and more than most mail servers take.
const resetFloor = 300 * time.Millisecond

// ResetRequest asks for a code to choose a new password with.
type ResetRequest struct {
	ClaimedName string
	Client      Client
}

// PendingReset is what whoever asked for a code needs to know, beside the code.
type PendingReset struct {
	UserHash string
	Request  RequestID
}

// UserHash returns the keyed hash of a name, in hexadecimal digits: stable for an account, and not reversible.
func (st *State) UserHash(name Username) string {
	return hex.EncodeToString(hashFields(st.userKey, "user", string(name)))
}

// RequestReset sends a code to the address of an account, in the place of an earlier one. Kinds: RateLimited,
// UnknownAccount, AccountDisabled, NoEmail, MailFailed, Unavailable. Where accounts are concealed, the last but
// Unavailable are no errors, and nothing is waited for that only happens for an account.
func (s *Service) RequestReset(ctx context.Context, r ResetRequest) (PendingReset, error) {
	floor := time.Now().Add(resetFloor)
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
		name = Username(trimClaimed(r.ClaimedName)) // of nobody, all the same
	}
	p := PendingReset{UserHash: s.UserHash(name), Request: RequestID(randomID(16))}
	send := func(ctx context.Context, deliver func(Notice) error) error {
		return s.sendReset(ctx, at.account, p.Request, r.Client, deliver)
	}
	if s.policy.Conceal {
		s.background(ctx, "sending a code", func(ctx context.Context) error {
			err := send(ctx, s.mailer.Queue)
			switch KindOf(err) {
			case KindUnknownAccount, KindAccountDisabled, KindNoEmail, KindMailFailed: // usual, or logged already
				return nil
			default:
				return err
			}
		})
		return p, nil
	}
	err = send(ctx, func(n Notice) error { return s.mailer.Send(ctx, n) })
	pause(ctx, time.Until(floor))
	if err != nil {
		return PendingReset{}, err
	}
	return p, nil
}

func (s *Service) takeSend(ctx context.Context, class LimitClass, key string) error {
	for _, budget := range []struct {
		prefix string
		rate   Rate
	}{{"send:", sendsAtOnce}, {"sends:", sendsAnHour}} {
		wait, err := ask(ctx, "counting a message", func(ctx context.Context) (time.Duration, error) {
			return s.Limits.Take(ctx, class, budget.prefix+key, budget.rate)
		})
		if err != nil {
			return err
		}
		if wait > 0 {
			return rateLimited(wait)
		}
	}
	return nil
}

// sendReset makes a code, stores it and has it delivered, if there is an account that can be written to.
func (s *Service) sendReset(ctx context.Context, a Account, request RequestID, c Client, deliver func(Notice) error) error {
	switch {
	case a.ID == "":
		return Errorf(KindUnknownAccount, "no account has this name")
	case a.Disabled:
		return Errorf(KindAccountDisabled, "this account is closed")
	case a.Email == "":
		return Errorf(KindNoEmail, "this account has no e-mail address")
	}
	code, err := newOneTimeCode()
	if err != nil {
		return err
	}
	now := s.wholeNow()
	stored := Code{Request: request, Account: a.ID, Purpose: CodeReset, ExpiresAt: now.Add(CodeLifetime)}
	stored.Hash = s.codeHash(&stored, code)
	if err := tell(ctx, "storing a code", func(ctx context.Context) error { return s.Codes.PutCode(ctx, stored) }); err != nil {
		return err
	}
	err = deliver(Notice{
		Kind: NoticeResetCode, To: Email(a.Email), Username: a.Username, Code: code, Lifetime: CodeLifetime,
		Device: DeviceLabel(c.UserAgent), Addr: c.Addr, At: now,
	})
	if err != nil {
		s.Log.Error("a code could not be sent", "account", a.ID, "error", err)
		return &Error{Kind: KindMailFailed, Msg: "the message could not be sent", Err: err}
	}
	s.Log.Info("code sent", "account", a.ID, "dialect", c.Dialect, "client_ip", c.Addr)
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

// Format keeps the code out of every log and error.
func (PasswordReset) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[password reset]")) }

// MarshalText keeps it out of JSON.
func (PasswordReset) MarshalText() ([]byte, error) { return []byte("[password reset]"), nil }

var errBadCode = &Error{Kind: KindBadCode, Msg: "the code is not valid, or not any more"}

// ResetPassword sets the password of whoever was sent the code, ends all of their sessions on every node, and tells
// them. Kinds: RateLimited, WeakPassword, BadCode, AccountDisabled, Unavailable; after the last, logging in tells whether
// it was set. A password that is too weak costs no code. Whether there is an account makes no difference to what a wrong
// code costs and is answered with.
func (s *Service) ResetPassword(ctx context.Context, r PasswordReset) error {
	start, floor := s.Now(), time.Now().Add(resetFloor)
	// A user hash is hex, which may come in capitals; a request is base64, whose case counts.
	r.Request, r.UserHash = RequestID(trimClaimed(string(r.Request))), strings.ToLower(trimClaimed(r.UserHash))
	if err := s.take(ctx, LimitLogin, r.Client, s.policy.LoginRate); err != nil {
		return err
	}
	if err := r.Password.check(s.policy.MinPassword, ""); err != nil {
		return err
	}
	c, a, err := s.claimedCode(ctx, r)
	if err == nil {
		a, err = s.setPassword(ctx, c, a, r.Password)
		if err != nil {
			s.forgiveCode(context.WithoutCancel(ctx), c.Account)
		}
	}
	if KindOf(err) == KindBadCode {
		pause(ctx, time.Until(floor))
	}
	if err != nil {
		return err
	}
	s.Log.Info("password reset", "account", a.ID, "dialect", r.Client.Dialect, "client_ip", r.Client.Addr)
	s.tellOwner(a, NoticePasswordChanged, r.Client)
	s.liftDelays(context.WithoutCancel(ctx), a.ID)
	_, err = s.revoke(ctx, Event{Account: a.ID, Epoch: a.Epoch}, start)
	return err
}

// setPassword sets the password of a by a code that was right.
func (s *Service) setPassword(ctx context.Context, c Code, a Account, p Password) (Account, error) {
	if err := p.check(s.policy.MinPassword, a.Username); err != nil {
		return Account{}, err
	}
	fresh, err := s.Hasher.hash(ctx, p)
	if err != nil {
		return Account{}, err
	}
	a, err = ask(ctx, "changing a password", func(ctx context.Context) (Account, error) {
		return s.Codes.ResetPassword(ctx, c.Request, c.Hash, fresh, s.wholeNow())
	})
	if KindOf(err) == KindUnknownAccount { // gone meanwhile
		err = errBadCode
	}
	return a, err
}

// codeTries is what tries of the codes of an account are counted under, apart from logins.
func codeTries(account AccountID) string { return "code:" + string(account) }

// claimedCode returns the code that r names, and its account, if r has that code. Every try is counted before it is
// judged: with the code, and with the account over all of its codes. Where accounts are concealed, a delay is not told:
// there is none for nobody.
func (s *Service) claimedCode(ctx context.Context, r PasswordReset) (Code, Account, error) {
	if !isRandomID(string(r.Request)) {
		return Code{}, Account{}, errBadCode
	}
	c, err := ask(ctx, "looking up a code", func(ctx context.Context) (Code, error) {
		return s.Codes.TryCode(ctx, CodeReset, r.Request, s.wholeNow())
	})
	if err != nil {
		return Code{}, Account{}, err
	}
	a, err := ask(ctx, "looking up an account", func(ctx context.Context) (Account, error) { return s.Accounts.AccountByID(ctx, c.Account) })
	if KindOf(err) == KindUnknownAccount {
		return Code{}, Account{}, errBadCode
	}
	if err != nil {
		return Code{}, Account{}, err
	}
	wait, err := ask(ctx, "counting a code", func(ctx context.Context) (time.Duration, error) {
		return s.Limits.Attempt(ctx, LimitAccount, codeTries(a.ID), codeBackoff)
	})
	if err != nil {
		return Code{}, Account{}, err
	}
	right := hmac.Equal(c.Hash, s.codeHash(&c, parseCode(r.Code)))
	switch {
	case wait > 0:
		s.Log.Warn("a code was delayed after failures", "account", a.ID, "dialect", r.Client.Dialect, "client_ip", r.Client.Addr, "wait", wait)
		if s.policy.Conceal {
			return Code{}, Account{}, errBadCode
		}
		return Code{}, Account{}, rateLimited(wait)
	case !hmac.Equal([]byte(r.UserHash), []byte(s.UserHash(a.Username))) || !right:
		s.Log.Warn("a wrong code was tried", "account", a.ID, "dialect", r.Client.Dialect, "client_ip", r.Client.Addr)
		return Code{}, Account{}, errBadCode
	}
	return c, a, nil
}

// forgiveCode takes back that a try of a code was counted, since the code was right.
func (s *Service) forgiveCode(ctx context.Context, account AccountID) {
	err := tell(ctx, "forgiving", func(ctx context.Context) error {
		return s.Limits.Forgive(ctx, LimitAccount, codeTries(account), codeBackoff)
	})
	if err != nil {
		s.Log.Warn("forgiving a code that was right failed", "account", account, "error", err)
	}
}

// liftDelays forgets the failures of an account. It may fail: the delays lapse by themselves.
func (s *Service) liftDelays(ctx context.Context, account AccountID) {
	for _, key := range []string{string(account), codeTries(account)} {
		err := tell(ctx, "clearing attempts", func(ctx context.Context) error { return s.Limits.Clear(ctx, LimitAccount, key) })
		if err != nil {
			s.Log.Warn("clearing the failed attempts of an account failed", "account", account, "error", err)
		}
	}
}
