package authcore

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"
)

// What the memory store knows of invites and devices.

func badInvite() error { return Errorf(KindBadInvite, "the invite is not valid, or not any more") }

func (m *memory) inviteLocked(hash []byte) *Invite {
	i := slices.IndexFunc(m.invites, func(i Invite) bool { return bytes.Equal(i.Hash, hash) })
	if i < 0 {
		return nil
	}
	return &m.invites[i]
}

func (m *memory) AddInvite(ctx context.Context, i Invite) (bool, error) {
	return result(ctx, m, "AddInvite", func() (bool, error) {
		switch {
		case m.inviteLocked(i.Hash) != nil:
			return false, nil
		case slices.ContainsFunc(m.invites, func(o Invite) bool { return o.ID == i.ID }):
			return false, errors.New("there is an invite with this ID")
		}
		i.EmailHash, i.CreatedAt, i.ExpiresAt = some(i.EmailHash), kept(i.CreatedAt), kept(i.ExpiresAt)
		m.invites = append(m.invites, i)
		return true, nil
	})
}

func (m *memory) InviteByHash(ctx context.Context, hash []byte) (Invite, error) {
	return result(ctx, m, "InviteByHash", func() (Invite, error) {
		i := m.inviteLocked(hash)
		if i == nil {
			return Invite{}, badInvite()
		}
		return *i, nil
	})
}

func (m *memory) Invites(ctx context.Context) ([]Invite, error) {
	return result(ctx, m, "Invites", func() ([]Invite, error) {
		out := slices.Clone(m.invites)
		slices.Reverse(out) // of two of one millisecond the later one comes first
		slices.SortStableFunc(out, func(a, b Invite) int { return b.CreatedAt.Compare(a.CreatedAt) })
		return out, nil
	})
}

func (m *memory) RevokeInvite(ctx context.Context, id InviteID, now time.Time) error {
	return m.do(ctx, "RevokeInvite", func() error {
		i := slices.IndexFunc(m.invites, func(i Invite) bool { return i.ID == id })
		if i < 0 {
			return Errorf(KindNotFound, "there is no such invite")
		}
		if m.invites[i].RevokedAt.IsZero() {
			m.invites[i].RevokedAt = kept(now)
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
		var seen time.Time
		if seen, known = of[string(device)]; !known || seen.Before(now) {
			of[string(device)] = kept(now)
		}
		others = len(of) > 1
		return nil
	})
	return known, others, err
}

func (m *memory) DeleteDevices(ctx context.Context, before time.Time) error {
	return m.do(ctx, "DeleteDevices", func() error {
		for _, of := range m.devices {
			for device, seen := range of {
				if seen.Before(kept(before)) {
					delete(of, device)
				}
			}
		}
		return nil
	})
}

var (
	_ InviteStore = (*memory)(nil)
	_ DeviceStore = (*memory)(nil)
)
