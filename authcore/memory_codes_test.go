package authcore

import (
	"bytes"
	"context"
	"slices"
	"time"
)

// What the memory store knows of one-time codes: for accounts and for phone numbers.

type codePlace struct {
	account AccountID
	purpose CodePurpose
}

func badCode() error { return Errorf(KindBadCode, "the code is not valid, or not any more") }

func (m *memory) PutCode(ctx context.Context, c Code) error {
	return m.do(ctx, "PutCode", func() error {
		c.ExpiresAt = kept(c.ExpiresAt)
		m.codes[codePlace{c.Account, c.Purpose}] = c
		return nil
	})
}

// codeLocked returns the code of a request that does not expire by now.
func (m *memory) codeLocked(p CodePurpose, request RequestID, now time.Time) (Code, error) {
	for _, c := range m.codes {
		if c.Request == request && c.Purpose == p && kept(now).Before(c.ExpiresAt) {
			return c, nil
		}
	}
	return Code{}, badCode()
}

func (m *memory) TryCode(ctx context.Context, p CodePurpose, request RequestID, now time.Time) (Code, error) {
	return result(ctx, m, "TryCode", func() (Code, error) {
		c, err := m.codeLocked(p, request, now)
		if err != nil || c.Tries >= CodeTries {
			return Code{}, badCode()
		}
		c.Tries++
		m.codes[codePlace{c.Account, c.Purpose}] = c
		return c, nil
	})
}

func (m *memory) TryEmailCodes(ctx context.Context, emailHash []byte, now time.Time) ([]Code, error) {
	return result(ctx, m, "TryEmailCodes", func() (all []Code, _ error) {
		failure := error(Errorf(KindInvalidEmail, "nobody waits"))
		for _, a := range m.accounts {
			if !a.EmailPending || !bytes.Equal(a.EmailHash, emailHash) {
				continue
			}
			failure = badCode()
			place := codePlace{a.ID, CodeEmail}
			if c, ok := m.codes[place]; ok && c.Tries < CodeTries && kept(now).Before(c.ExpiresAt) {
				c.Tries++
				m.codes[place] = c
				all = append(all, c)
			}
		}
		if len(all) == 0 {
			return nil, failure
		}
		return all, nil
	})
}

func (m *memory) ResetPassword(ctx context.Context, request RequestID, code []byte, hash PasswordHash, now time.Time) (Account, error) {
	return result(ctx, m, "ResetPassword", func() (Account, error) {
		c, err := m.codeLocked(CodeReset, request, now)
		if err != nil || !bytes.Equal(c.Hash, code) {
			return Account{}, badCode()
		}
		a, err := m.accountLocked(c.Account)
		switch {
		case err != nil:
			return Account{}, err
		case a.Disabled:
			return Account{}, Errorf(KindAccountDisabled, "this account is closed")
		}
		a.PasswordHash, a.Epoch, a.Kept = hash, a.Epoch+1, ""
		delete(m.codes, codePlace{c.Account, c.Purpose})
		if a.EmailConfirmed || a.Email != "" && a.EmailHash != nil && !m.confirmedLocked(a) {
			m.confirmLocked(a)
		}
		return *a, nil
	})
}

func (m *memory) ConfirmEmail(ctx context.Context, request RequestID, code, emailHash []byte, now time.Time) error {
	return m.do(ctx, "ConfirmEmail", func() error {
		c, err := m.codeLocked(CodeEmail, request, now)
		if err != nil || !bytes.Equal(c.Hash, code) {
			return badCode()
		}
		a, err := m.accountLocked(c.Account)
		if err != nil || a.EmailConfirmed || !bytes.Equal(a.EmailHash, emailHash) || m.confirmedLocked(a) {
			return badCode()
		}
		delete(m.codes, codePlace{c.Account, c.Purpose})
		m.confirmLocked(a)
		return nil
	})
}

// confirmedLocked reports whether another account has confirmed the address of a.
func (m *memory) confirmedLocked(a *Account) bool {
	_, err := m.findLocked(func(o *Account) bool {
		return o.EmailConfirmed && o.ID != a.ID && bytes.Equal(o.EmailHash, a.EmailHash)
	})
	return err == nil
}

// confirmLocked makes a the only account with its address.
func (m *memory) confirmLocked(a *Account) {
	a.EmailConfirmed, a.EmailPending = true, false
	for i := range m.accounts {
		if o := &m.accounts[i]; o.ID != a.ID && bytes.Equal(o.EmailHash, a.EmailHash) {
			o.Email, o.EmailHash, o.EmailPending = "", nil, false
			for place := range m.codes {
				if place.account == o.ID {
					delete(m.codes, place)
				}
			}
		}
	}
}

func (m *memory) DeleteCodes(ctx context.Context, now time.Time) error {
	return m.do(ctx, "DeleteCodes", func() error {
		for place, c := range m.codes {
			if c.ExpiresAt.Before(kept(now)) {
				delete(m.codes, place)
			}
		}
		return nil
	})
}

func (m *memory) PhoneValidated(ctx context.Context, phone []byte) (bool, error) {
	return result(ctx, m, "PhoneValidated", func() (bool, error) { return m.phones[string(phone)], nil })
}

func (m *memory) PutPhoneCode(ctx context.Context, c PhoneCode) error {
	return m.do(ctx, "PutPhoneCode", func() error {
		a, err := m.accountLocked(c.Account)
		switch {
		case err != nil || !a.PhonePending:
			return errNoAccount()
		case m.phones[string(c.Phone)]:
			return Errorf(KindPhoneTaken, "taken")
		}
		c.ExpiresAt = kept(c.ExpiresAt)
		m.pending[c.Account] = c
		return nil
	})
}

func (m *memory) TryPhoneCodes(ctx context.Context, phone []byte, now time.Time) ([]PhoneCode, error) {
	return result(ctx, m, "TryPhoneCodes", func() (all []PhoneCode, _ error) {
		failure := error(Errorf(KindInvalidPhone, "no code"))
		for id, c := range m.pending {
			switch {
			case !bytes.Equal(c.Phone, phone) || !kept(now).Before(c.ExpiresAt):
			case c.Tries >= CodeTries:
				failure = badCode()
			default:
				c.Tries++
				m.pending[id] = c
				all = append(all, c)
			}
		}
		if len(all) == 0 {
			return nil, failure
		}
		return all, nil
	})
}

func (m *memory) ValidatePhone(ctx context.Context, c PhoneCode, now time.Time) error {
	return m.do(ctx, "ValidatePhone", func() error {
		a, err := m.accountLocked(c.Account)
		stored := m.pending[c.Account]
		if err != nil || !a.PhonePending || m.phones[string(c.Phone)] || !bytes.Equal(stored.Phone, c.Phone) ||
			!bytes.Equal(stored.Hash, c.Hash) || !kept(now).Before(stored.ExpiresAt) {
			return badCode()
		}
		a.PhonePending = false
		m.phones[string(c.Phone)] = true
		for id, o := range m.pending {
			if bytes.Equal(o.Phone, c.Phone) {
				delete(m.pending, id)
			}
		}
		return nil
	})
}

func (m *memory) SetPendingEmail(ctx context.Context, account AccountID, emailHash []byte) error {
	return m.do(ctx, "SetPendingEmail", func() error {
		a, err := m.accountLocked(account)
		if err != nil || !a.PhonePending && !a.EmailPending || a.EmailHash != nil && !a.EmailPending {
			return errNoAccount()
		}
		for _, o := range m.accounts {
			if o.EmailConfirmed && o.ID != account && bytes.Equal(o.EmailHash, emailHash) {
				return Errorf(KindEmailTaken, "taken")
			}
		}
		a.EmailHash, a.EmailPending = some(emailHash), len(emailHash) > 0
		return nil
	})
}

func (m *memory) DeletePhoneCodes(ctx context.Context, now time.Time) error {
	return m.do(ctx, "DeletePhoneCodes", func() error {
		for id, c := range m.pending {
			if c.ExpiresAt.Before(kept(now)) || c.Tries >= CodeTries {
				delete(m.pending, id)
			}
		}
		return nil
	})
}

func (m *memory) DeleteUnvalidated(ctx context.Context, before, now time.Time) (int, error) {
	return result(ctx, m, "DeleteUnvalidated", func() (int, error) {
		was := len(m.accounts)
		m.accounts = slices.DeleteFunc(m.accounts, func(a Account) bool {
			c, ok := m.pending[a.ID]
			waits := ok && kept(now).Before(c.ExpiresAt)
			return a.PhonePending && !a.Disabled && !waits && a.CreatedAt.Before(kept(before))
		})
		for i := range m.accounts {
			m.accounts[i].DisplayClash = m.clashLocked(&m.accounts[i])
		}
		return was - len(m.accounts), nil
	})
}

var (
	_ CodeStore  = (*memory)(nil)
	_ PhoneStore = (*memory)(nil)
)
