package authcore

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"
)

// What the memory store keeps of phone numbers.

func (m *memory) accountLocked(id AccountID) *Account {
	i := slices.IndexFunc(m.accounts, func(a Account) bool { return a.ID == id })
	if i < 0 {
		return nil
	}
	return &m.accounts[i]
}

func (m *memory) PhoneValidated(ctx context.Context, phone []byte) (is bool, err error) {
	err = m.do(ctx, "PhoneValidated", func() error {
		is = m.phones[string(phone)]
		return nil
	})
	return is, err
}

func (m *memory) PutPhoneCode(ctx context.Context, c PhoneCode) error {
	return m.do(ctx, "PutPhoneCode", func() error {
		a := m.accountLocked(c.Account)
		switch {
		case a == nil || !a.PhonePending:
			return Errorf(KindUnknownAccount, "no such account")
		case m.phones[string(c.Phone)]:
			return Errorf(KindPhoneTaken, "taken")
		}
		m.pending[c.Account] = c
		return nil
	})
}

func (m *memory) TryPhoneCodes(ctx context.Context, phone []byte, now time.Time) (all []PhoneCode, err error) {
	err = m.do(ctx, "TryPhoneCodes", func() error {
		failure := error(Errorf(KindInvalidPhone, "no code"))
		for id, c := range m.pending {
			switch {
			case !bytes.Equal(c.Phone, phone) || !now.Before(c.ExpiresAt):
			case c.Tries >= CodeTries:
				failure = badCode()
			default:
				c.Tries++
				m.pending[id] = c
				all = append(all, c)
			}
		}
		if len(all) == 0 {
			return failure
		}
		return nil
	})
	return all, err
}

func (m *memory) ValidatePhone(ctx context.Context, c PhoneCode, now time.Time) error {
	return m.do(ctx, "ValidatePhone", func() error {
		a, stored := m.accountLocked(c.Account), m.pending[c.Account]
		if a == nil || !a.PhonePending || m.phones[string(c.Phone)] || !bytes.Equal(stored.Phone, c.Phone) ||
			!bytes.Equal(stored.Hash, c.Hash) || !now.Before(stored.ExpiresAt) {
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

func (m *memory) ConfirmEmail(ctx context.Context, request RequestID, code, emailHash []byte, now time.Time) error {
	return m.do(ctx, "ConfirmEmail", func() error {
		for place, c := range m.codes {
			if c.Request != request || c.Purpose != CodeEmail || !bytes.Equal(c.Hash, code) || !now.Before(c.ExpiresAt) {
				continue
			}
			if a := m.accountLocked(c.Account); a != nil && a.EmailPending && bytes.Equal(a.EmailHash, emailHash) {
				a.EmailPending = false
				delete(m.codes, place)
				return nil
			}
		}
		return badCode()
	})
}

func (m *memory) SetPendingEmail(ctx context.Context, account AccountID, emailHash []byte) error {
	return m.do(ctx, "SetPendingEmail", func() error {
		a := m.accountLocked(account)
		if a == nil || !a.PhonePending && !a.EmailPending || a.EmailHash != nil && !a.EmailPending {
			return Errorf(KindUnknownAccount, "no such account")
		}
		for _, o := range m.accounts {
			if emailHash != nil && o.ID != account && bytes.Equal(o.EmailHash, emailHash) {
				return Errorf(KindEmailTaken, "taken")
			}
		}
		a.EmailHash, a.EmailPending = emailHash, emailHash != nil
		return nil
	})
}

func (m *memory) DeletePhoneCodes(ctx context.Context, now time.Time) error {
	return m.do(ctx, "DeletePhoneCodes", func() error {
		for id, c := range m.pending {
			if c.ExpiresAt.Before(now) || c.Tries >= CodeTries {
				delete(m.pending, id)
			}
		}
		return nil
	})
}

func (m *memory) DeleteUnvalidated(ctx context.Context, before, now time.Time) (n int, err error) {
	err = m.do(ctx, "DeleteUnvalidated", func() error {
		was := len(m.accounts)
		m.accounts = slices.DeleteFunc(m.accounts, func(a Account) bool {
			return a.PhonePending && !a.Disabled && a.CreatedAt.Before(before) && !now.Before(m.pending[a.ID].ExpiresAt)
		})
		n = was - len(m.accounts)
		return nil
	})
	return n, err
}

// outbox is a Texter that keeps what it is given.
type outbox struct {
	mu     sync.Mutex
	sent   []sms
	broken error
	hang   bool // until the caller gives up
}

type sms struct{ to, text string }

func (b *outbox) Send(ctx context.Context, to Phone, text string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if b.broken == nil {
		b.sent = append(b.sent, sms{string(to), text})
	}
	return b.broken
}

func (b *outbox) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

func (b *outbox) all() []sms {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.sent)
}

var (
	_ PhoneStore = (*memory)(nil)
	_ Texter     = (*outbox)(nil)
)
