package storetest_test

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

func (m *memory) PhoneValidated(ctx context.Context, phone []byte) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return ctx.Err() == nil && m.phones[string(phone)], ctx.Err()
}

// account returns the one with an ID, or nil.
func (m *memory) account(id authcore.AccountID) *authcore.Account {
	if i := slices.IndexFunc(m.accounts, func(a authcore.Account) bool { return a.ID == id }); i >= 0 {
		return &m.accounts[i]
	}
	return nil
}

var errNobody = authcore.Errorf(authcore.KindUnknownAccount, "no such account")

func (m *memory) PutPhoneCode(ctx context.Context, c authcore.PhoneCode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if a := m.account(c.Account); a == nil || !a.PhonePending {
		return errNobody
	}
	if m.phones[string(c.Phone)] {
		return authcore.Errorf(authcore.KindPhoneTaken, "taken")
	}
	c.ExpiresAt = kept(c.ExpiresAt)
	m.pending[c.Account] = c
	return nil
}

func (m *memory) TryPhoneCodes(ctx context.Context, phone []byte, now time.Time) ([]authcore.PhoneCode, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var all []authcore.PhoneCode
	err := authcore.Errorf(authcore.KindInvalidPhone, "no code")
	for id, c := range m.pending {
		if !bytes.Equal(c.Phone, phone) || c.ExpiresAt.UnixMilli() <= now.UnixMilli() {
			continue
		}
		if c.Tries >= authcore.CodeTries {
			err = errBadCode
			continue
		}
		c.Tries++
		m.pending[id] = c
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, err
	}
	return all, nil
}

func (m *memory) ValidatePhone(ctx context.Context, c authcore.PhoneCode, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	a, stored := m.account(c.Account), m.pending[c.Account]
	if a == nil || !a.PhonePending || m.phones[string(c.Phone)] || !bytes.Equal(stored.Phone, c.Phone) ||
		!bytes.Equal(stored.Hash, c.Hash) || stored.ExpiresAt.UnixMilli() <= now.UnixMilli() {
		return errBadCode
	}
	a.PhonePending = false
	m.phones[string(c.Phone)] = true
	for id, o := range m.pending {
		if bytes.Equal(o.Phone, c.Phone) {
			delete(m.pending, id)
		}
	}
	return nil
}

func (m *memory) ConfirmEmail(ctx context.Context, request authcore.RequestID, code, emailHash []byte, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c, err := m.code(authcore.CodeEmail, request, now)
	if err != nil || !bytes.Equal(c.Hash, code) {
		return errBadCode
	}
	a := m.account(c.Account)
	if a == nil || !a.EmailPending || !bytes.Equal(a.EmailHash, emailHash) {
		return errBadCode
	}
	a.EmailPending = false
	delete(m.codes, codeKey{c.Account, c.Purpose})
	return nil
}

func (m *memory) SetPendingEmail(ctx context.Context, account authcore.AccountID, emailHash []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	a := m.account(account)
	if a == nil || !a.PhonePending && !a.EmailPending || a.EmailHash != nil && !a.EmailPending {
		return errNobody
	}
	for _, o := range m.accounts {
		if len(emailHash) > 0 && o.ID != account && bytes.Equal(o.EmailHash, emailHash) {
			return authcore.Errorf(authcore.KindEmailTaken, "taken")
		}
	}
	a.EmailHash, a.EmailPending = append([]byte(nil), emailHash...), len(emailHash) > 0
	return nil
}

func (m *memory) DeletePhoneCodes(ctx context.Context, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for id, c := range m.pending {
		if c.ExpiresAt.UnixMilli() < now.UnixMilli() || c.Tries >= authcore.CodeTries {
			delete(m.pending, id)
		}
	}
	return nil
}

func (m *memory) DeleteUnvalidated(ctx context.Context, before, now time.Time) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	was := len(m.accounts)
	m.accounts = slices.DeleteFunc(m.accounts, func(a authcore.Account) bool {
		c, ok := m.pending[a.ID]
		alive := ok && c.ExpiresAt.UnixMilli() > now.UnixMilli()
		return a.PhonePending && !a.Disabled && !alive && a.CreatedAt.UnixMilli() < before.UnixMilli()
	})
	return was - len(m.accounts), nil
}
