package authcore

import (
	"context"
	"encoding/hex"
	"time"
)

// PhoneCode is the stored one-time code of a pending validation: the only record with both the hash of a number and its
// account.
type PhoneCode struct {
	Account   AccountID
	Phone     []byte // [PhoneHash]
	Hash      []byte // keyed, of the code
	Tries     int    // so far
	ExpiresAt time.Time
}

// keepUnvalidated is how long an account is kept without a validated number. Then its name and address are free again.
const keepUnvalidated = 24 * time.Hour

func (st *State) phoneCodeHash(c *PhoneCode, code OneTimeCode) []byte {
	return hashFields(st.codeKey, "phone", string(c.Account), string(c.Phone), string(code))
}

// phoneKey is the key for limits on messages to a number and tries of its codes.
func phoneKey(hash []byte) string { return "phone:" + hex.EncodeToString(hash) }

// emailRequest names the only request that there can be for a code to an account's address. Clients do not get it; they
// name the address.
func (st *State) emailRequest(account AccountID, emailHash []byte) RequestID {
	return RequestID(hex.EncodeToString(hashFields(st.codeKey, "request", string(CodeEmail), string(account), string(emailHash))))
}

// emailKey is what messages to an address, and tries of codes for it, are counted under.
func emailKey(hash []byte) string { return "email:" + hex.EncodeToString(hash) }

// sendEmailCode stores a code that confirms an address, and has the mail with it delivered.
func (s *Service) sendEmailCode(ctx context.Context, a Account, to Email, c Client, deliver func(Notice) error) error {
	code, err := newOneTimeCode()
	if err != nil {
		return err
	}
	now := s.wholeNow()
	stored := Code{
		Request: s.state.emailRequest(a.ID, EmailHash(s.state.emailKey, to)), Account: a.ID, Purpose: CodeEmail, ExpiresAt: now.Add(CodeLifetime),
	}
	stored.Hash = s.state.codeHash(&stored, code)
	if err := exec(ctx, "storing a code", func(ctx context.Context) error { return s.state.options.Codes.PutCode(ctx, stored) }); err != nil {
		return err
	}
	err = deliver(Notice{
		Kind: NoticeConfirmCode, To: to, Username: a.Username, Code: code, Lifetime: CodeLifetime, Device: DeviceLabel(c.UserAgent),
		Addr: c.Addr, At: now,
	})
	if err != nil {
		s.publish(failed(EventEmailCodeUnsent, a, c, err))
		return &Error{Kind: KindMailFailed, Msg: "the message could not be sent", Err: err}
	}
	s.publish(about(EventEmailCodeSent, a, c))
	return nil
}

// sendPhoneCode stores a code for a number and sends it. Where accounts are concealed, it sends a message without a code
// to a number that is validated already.
func (s *Service) sendPhoneCode(ctx context.Context, a Account, to Phone, c Client) error {
	code, err := newOneTimeCode()
	if err != nil {
		return err
	}
	stored := PhoneCode{Account: a.ID, Phone: PhoneHash(s.state.phoneKey, to), ExpiresAt: s.wholeNow().Add(CodeLifetime)}
	stored.Hash = s.state.phoneCodeHash(&stored, code)
	err = exec(ctx, "storing a code", func(ctx context.Context) error { return s.state.options.Phones.PutPhoneCode(ctx, stored) })
	template := codeText
	switch {
	case s.policy.Conceal && KindOf(err) == KindPhoneTaken:
		template = takenText
	case KindOf(err) == KindUnknownAccount: // validated meanwhile, or so old that it is gone
		return errUsernameTaken
	case err != nil:
		return err
	}
	text, err := s.text(template, code)
	if err != nil {
		return err
	}
	if err := s.sendText(ctx, to, text); err != nil {
		return err
	}
	s.publish(about(EventPhoneCodeSent, a, c))
	return nil
}

// forgetPhones deletes codes that are of no more use, and with them the link between numbers and accounts.
func (st *State) forgetPhones(ctx context.Context) {
	if st.options.Phones == nil {
		return
	}
	if err := st.options.Phones.DeletePhoneCodes(ctx, st.options.Now()); err != nil {
		st.options.Log.Error("cannot delete old codes for phone numbers; trying again", "error", err)
	}
}

// deleteUnvalidated deletes accounts whose registration was not completed.
func (st *State) deleteUnvalidated(ctx context.Context) {
	if st.options.Phones == nil {
		return
	}
	now := st.options.Now()
	switch n, err := st.options.Phones.DeleteUnvalidated(ctx, now.Add(-keepUnvalidated), now); {
	case err != nil:
		st.options.Log.Error("cannot delete accounts that were never validated; trying again", "error", err)
	case n > 0:
		st.publish(Event{Kind: EventRegistrationsLapsed, Count: n})
	}
}

// What an operator has to know of a request that cannot be served as it is configured.
var (
	errNoPhones    = &Error{Kind: KindUnavailable, Msg: "accounts with phone numbers are not available here", Err: errNoTexts}
	errNoAddresses = &Error{Kind: KindUnavailable, Msg: "an address cannot be validated here", Err: errNoMail}
)
