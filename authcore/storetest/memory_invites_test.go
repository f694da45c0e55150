package storetest_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

var errBadInvite = authcore.Errorf(authcore.KindBadInvite, "bad invite")

func (m *memory) invite(is func(authcore.Invite) bool) *authcore.Invite {
	if i := slices.IndexFunc(m.invites, is); i >= 0 {
		return &m.invites[i]
	}
	return nil
}

func withHash(hash []byte) func(authcore.Invite) bool {
	return func(i authcore.Invite) bool { return bytes.Equal(i.Hash, hash) }
}

// redeemable returns the invite that a can be made with, or nil.
func (m *memory) redeemable(hash []byte, a authcore.Account) *authcore.Invite {
	i := m.invite(withHash(hash))
	if i == nil || i.Used >= i.Uses || !i.RevokedAt.IsZero() || i.ExpiresAt.UnixMilli() <= a.CreatedAt.UnixMilli() ||
		i.EmailHash != nil && !bytes.Equal(i.EmailHash, a.EmailHash) {
		return nil
	}
	return i
}

func (m *memory) AddInvite(ctx context.Context, i authcore.Invite) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case m.invite(withHash(i.Hash)) != nil:
		return false, nil
	case m.invite(func(o authcore.Invite) bool { return o.ID == i.ID }) != nil:
		return false, errors.New("there is an invite with this ID")
	}
	i.EmailHash = append([]byte(nil), i.EmailHash...)
	i.CreatedAt, i.ExpiresAt = kept(i.CreatedAt), kept(i.ExpiresAt)
	m.invites = append(m.invites, i)
	return true, nil
}

func (m *memory) InviteByHash(ctx context.Context, hash []byte) (authcore.Invite, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return authcore.Invite{}, ctx.Err()
	}
	if i := m.invite(withHash(hash)); i != nil {
		return *i, nil
	}
	return authcore.Invite{}, errBadInvite
}

func (m *memory) Invites(ctx context.Context) ([]authcore.Invite, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	all := slices.Clone(m.invites)
	slices.SortFunc(all, func(a, b authcore.Invite) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return all, nil
}

func (m *memory) RevokeInvite(ctx context.Context, id authcore.InviteID, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	i := m.invite(func(i authcore.Invite) bool { return i.ID == id })
	if i == nil {
		return authcore.Errorf(authcore.KindNotFound, "no such invite")
	}
	if i.RevokedAt.IsZero() {
		i.RevokedAt = kept(now)
	}
	return nil
}

type deviceKey struct {
	account authcore.AccountID
	device  string
}

func (m *memory) NoteDevice(ctx context.Context, account authcore.AccountID, device []byte, now time.Time) (
	known, others bool, err error,
) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return false, false, ctx.Err()
	}
	key := deviceKey{account, string(device)}
	at, known := m.devices[key]
	if !known || at < now.UnixMilli() {
		m.devices[key] = now.UnixMilli()
	}
	for other := range m.devices {
		others = others || other.account == account && other != key
	}
	return known, others, nil
}

func (m *memory) DeleteDevices(ctx context.Context, before time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for key, at := range m.devices {
		if at < before.UnixMilli() {
			delete(m.devices, key)
		}
	}
	return nil
}
