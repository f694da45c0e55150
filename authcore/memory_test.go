package authcore

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// What the memory store keeps of codes, invites and devices.

type codePlace struct {
	account AccountID
	purpose CodePurpose
}

func (m *memory) PutCode(ctx context.Context, c Code) error {
	return m.do(ctx, "PutCode", func() error {
		m.codes[codePlace{c.Account, c.Purpose}] = c
		return nil
	})
}

func badCode() error { return Errorf(KindBadCode, "the code is not valid, or not any more") }

func (m *memory) TryCode(ctx context.Context, p CodePurpose, request RequestID, now time.Time) (out Code, err error) {
	err = m.do(ctx, "TryCode", func() error {
		for place, c := range m.codes {
			if c.Request == request && c.Purpose == p && c.Tries < CodeTries && now.Before(c.ExpiresAt) {
				c.Tries++
				m.codes[place], out = c, c
				return nil
			}
		}
		return badCode()
	})
	return out, err
}

func (m *memory) ResetPassword(ctx context.Context, request RequestID, code []byte, hash PasswordHash, now time.Time) (out Account, err error) {
	err = m.do(ctx, "ResetPassword", func() error {
		for place, c := range m.codes {
			if c.Request != request || c.Purpose != CodeReset || !bytes.Equal(c.Hash, code) || !now.Before(c.ExpiresAt) {
				continue
			}
			i := slices.IndexFunc(m.accounts, func(a Account) bool { return a.ID == c.Account })
			switch {
			case i < 0:
				return Errorf(KindUnknownAccount, "no such account")
			case m.accounts[i].Disabled:
				return Errorf(KindAccountDisabled, "this account is closed")
			}
			a := &m.accounts[i]
			a.PasswordHash, a.Epoch, a.Kept = hash, a.Epoch+1, ""
			delete(m.codes, place)
			out = *a
			return nil
		}
		return badCode()
	})
	return out, err
}

func (m *memory) DeleteCodes(ctx context.Context, now time.Time) error {
	return m.do(ctx, "DeleteCodes", func() error {
		for place, c := range m.codes {
			if c.ExpiresAt.Before(now) {
				delete(m.codes, place)
			}
		}
		return nil
	})
}

func (m *memory) AddInvite(ctx context.Context, i Invite) (did bool, err error) {
	err = m.do(ctx, "AddInvite", func() error {
		if m.inviteLocked(i.Hash) == nil {
			m.invites, did = append(m.invites, i), true
		}
		return nil
	})
	return did, err
}

func (m *memory) inviteLocked(hash []byte) *Invite {
	i := slices.IndexFunc(m.invites, func(i Invite) bool { return bytes.Equal(i.Hash, hash) })
	if i < 0 {
		return nil
	}
	return &m.invites[i]
}

func (m *memory) InviteByHash(ctx context.Context, hash []byte) (out Invite, err error) {
	err = m.do(ctx, "InviteByHash", func() error {
		i := m.inviteLocked(hash)
		if i == nil {
			return Errorf(KindBadInvite, "the invite is not valid, or not any more")
		}
		out = *i
		return nil
	})
	return out, err
}

func (m *memory) Invites(ctx context.Context) (out []Invite, err error) {
	err = m.do(ctx, "Invites", func() error {
		out = slices.Clone(m.invites)
		slices.Reverse(out)
		return nil
	})
	return out, err
}

func (m *memory) RevokeInvite(ctx context.Context, id InviteID, now time.Time) error {
	return m.do(ctx, "RevokeInvite", func() error {
		i := slices.IndexFunc(m.invites, func(i Invite) bool { return i.ID == id })
		if i < 0 {
			return Errorf(KindNotFound, "there is no such invite")
		}
		if m.invites[i].RevokedAt.IsZero() {
			m.invites[i].RevokedAt = now
		}
		return nil
	})
}

func (m *memory) NoteDevice(ctx context.Context, account AccountID, device []byte, now time.Time) (known, others bool, err error) {
	err = m.do(ctx, "NoteDevice", func() error {
		of := m.devices[account]
		if of == nil {
			of = make(map[string]time.Time)
			m.devices[account] = of
		}
		_, known = of[string(device)]
		of[string(device)] = now
		others = len(of) > 1
		return nil
	})
	return known, others, err
}

func (m *memory) DeleteDevices(ctx context.Context, before time.Time) error {
	return m.do(ctx, "DeleteDevices", func() error {
		for _, of := range m.devices {
			for device, seen := range of {
				if seen.Before(before) {
					delete(of, device)
				}
			}
		}
		return nil
	})
}

func (m *memory) RotateSession(ctx context.Context, account AccountID, id SessionID, generation int64) (out Session, err error) {
	err = m.do(ctx, "RotateSession", func() error {
		s, ok := m.sessions[id]
		if !ok || s.Account != account {
			return Errorf(KindSessionOver, "the session is over")
		}
		if s.Generation <= generation {
			s.Generation = generation + 1
			m.sessions[id] = s
		}
		out = s
		return nil
	})
	return out, err
}

func (m *memory) SetProfile(ctx context.Context, id AccountID, displayName, avatarURL *string) (out Account, err error) {
	err = m.do(ctx, "SetProfile", func() error {
		i := slices.IndexFunc(m.accounts, func(a Account) bool { return a.ID == id })
		if i < 0 {
			return Errorf(KindUnknownAccount, "no such account")
		}
		if displayName != nil {
			m.accounts[i].DisplayName = *displayName
		}
		if avatarURL != nil {
			m.accounts[i].AvatarURL = *avatarURL
		}
		out = m.accounts[i]
		return nil
	})
	return out, err
}

// mailbox is a Mailer that keeps what it is given.
type mailbox struct {
	mu     sync.Mutex
	sent   []Notice      // delivered while somebody waited
	queued []Notice      // in the background
	all    []Notice      // in their order
	takes  time.Duration // to deliver
	broken error
}

func (b *mailbox) Send(ctx context.Context, n Notice) error {
	b.mu.Lock()
	takes := b.takes
	b.mu.Unlock()
	if takes > 0 && !pause(ctx, takes) {
		return ctx.Err()
	}
	return b.keep(&b.sent, n)
}

func (b *mailbox) Queue(n Notice) error { return b.keep(&b.queued, n) }

func (b *mailbox) keep(in *[]Notice, n Notice) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken == nil {
		*in, b.all = append(*in, n), append(b.all, n)
	}
	return b.broken
}

func (b *mailbox) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

// told returns the kinds of all notices so far, and who was told.
func (b *mailbox) told() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := ""
	for _, n := range b.all {
		out += fmt.Sprintf("%s to %s;", n.Kind, n.To)
	}
	return out
}

// last returns the latest notice, whichever way it went.
func (b *mailbox) last() Notice {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.all) == 0 {
		return Notice{}
	}
	return b.all[len(b.all)-1]
}

var (
	_ CodeStore   = (*memory)(nil)
	_ InviteStore = (*memory)(nil)
	_ DeviceStore = (*memory)(nil)
	_ Mailer      = (*mailbox)(nil)
)
