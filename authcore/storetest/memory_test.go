package storetest_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/storetest"
)

func TestMemoryLimits(t *testing.T) {
	storetest.RunLimits(t, func(t *testing.T, now func() time.Time) authcore.LimitStore {
		m, err := authcore.NewMemoryLimits(now)
		if err != nil {
			t.Fatal(err)
		}
		return m
	})
}

// The suite asks for nothing that only SQL could give.
func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Stores {
		m := &memory{
			revoked: make(map[sessionKey]int64), codes: make(map[codeKey]authcore.Code), devices: make(map[deviceKey]int64),
			phones: make(map[string]bool), pending: make(map[authcore.AccountID]authcore.PhoneCode),
		}
		return storetest.Stores{Accounts: m, Revocations: m, Codes: m, Invites: m, Phones: m, Devices: m}
	})
}

// memory is the plainest store that keeps the contracts of accounts and what is in one database with them.
type memory struct {
	mu       sync.Mutex
	accounts []authcore.Account
	numbers  int64
	revoked  map[sessionKey]int64
	codes    map[codeKey]authcore.Code
	invites  []authcore.Invite
	devices  map[deviceKey]int64
	phones   map[string]bool
	pending  map[authcore.AccountID]authcore.PhoneCode
}

type sessionKey struct {
	account authcore.AccountID
	id      authcore.SessionID
}

func (m *memory) CreateAccount(ctx context.Context, a authcore.Account, invite []byte) (authcore.Account, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return authcore.Account{}, ctx.Err()
	}
	var redeemed *authcore.Invite
	if invite != nil {
		if redeemed = m.redeemable(invite, a); redeemed == nil {
			return authcore.Account{}, errBadInvite
		}
	}
	kind, taken := authcore.Kind(0), false
	for _, o := range m.accounts {
		switch {
		case o.ID == a.ID:
			return authcore.Account{}, errors.New("there is an account with this ID")
		case o.Username.Skeleton() == a.Username.Skeleton():
			kind, taken = authcore.KindUsernameTaken, true
		case len(a.EmailHash) > 0 && bytes.Equal(o.EmailHash, a.EmailHash) && !taken:
			kind, taken = authcore.KindEmailTaken, true
		}
	}
	if taken {
		return authcore.Account{}, authcore.Errorf(kind, "taken")
	}
	if redeemed != nil {
		redeemed.Used++
	}
	m.numbers++
	a.Number = m.numbers
	a.CreatedAt = kept(a.CreatedAt)
	m.accounts = append(m.accounts, a)
	return a, nil
}

// find calls f with the account that is, in a moment of its own.
func (m *memory) find(ctx context.Context, is func(*authcore.Account) bool, f func(*authcore.Account)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for i := range m.accounts {
		if is(&m.accounts[i]) {
			f(&m.accounts[i])
			return nil
		}
	}
	return authcore.Errorf(authcore.KindUnknownAccount, "no such account")
}

func withID(id authcore.AccountID) func(*authcore.Account) bool {
	return func(a *authcore.Account) bool { return a.ID == id }
}

func (m *memory) AccountByID(ctx context.Context, id authcore.AccountID) (got authcore.Account, err error) {
	err = m.find(ctx, withID(id), func(a *authcore.Account) { got = *a })
	return got, err
}

func (m *memory) AccountByUsername(ctx context.Context, name authcore.Username) (got authcore.Account, err error) {
	err = m.find(ctx, func(a *authcore.Account) bool { return a.Username == name }, func(a *authcore.Account) { got = *a })
	return got, err
}

func (m *memory) AccountByEmailHash(ctx context.Context, hash []byte) (got authcore.Account, err error) {
	err = m.find(ctx, func(a *authcore.Account) bool { return len(hash) > 0 && bytes.Equal(a.EmailHash, hash) },
		func(a *authcore.Account) { got = *a })
	return got, err
}

func (m *memory) SwapPasswordHash(ctx context.Context, id authcore.AccountID, old, new authcore.PasswordHash) (bool, error) {
	done := false
	err := m.find(ctx, withID(id), func(a *authcore.Account) {
		if done = a.PasswordHash == old; done {
			a.PasswordHash = new
		}
	})
	if _, unknown := errors.AsType[*authcore.Error](err); unknown {
		err = nil
	}
	return done, err
}

func (m *memory) SetDisabled(ctx context.Context, id authcore.AccountID, disabled bool) error {
	return m.find(ctx, withID(id), func(a *authcore.Account) { a.Disabled = disabled })
}

func (m *memory) SetProfile(ctx context.Context, id authcore.AccountID, displayName, avatarURL *string) (
	got authcore.Account, err error,
) {
	err = m.find(ctx, withID(id), func(a *authcore.Account) {
		if displayName != nil {
			a.DisplayName = *displayName
		}
		if avatarURL != nil {
			a.AvatarURL = *avatarURL
		}
		got = *a
	})
	return got, err
}

func kept(at time.Time) time.Time { return time.UnixMilli(at.UnixMilli()).UTC() }

func (m *memory) RevokeSession(ctx context.Context, account authcore.AccountID, id authcore.SessionID, forget time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	key := sessionKey{account, id}
	if at, ok := m.revoked[key]; !ok || at < forget.UnixMilli() {
		m.revoked[key] = forget.UnixMilli()
	}
	return nil
}

func (m *memory) RevokeSessions(ctx context.Context, account authcore.AccountID, kept authcore.Session) (
	epoch int64, lives authcore.SessionID, err error,
) {
	err = m.find(ctx, withID(account), func(a *authcore.Account) {
		_, revoked := m.revoked[sessionKey{account, kept.ID}]
		if (kept.Epoch == a.Epoch || kept.ID == a.Kept) && !revoked {
			lives = kept.ID
		}
		a.Epoch++
		a.Kept, epoch = lives, a.Epoch
	})
	return epoch, lives, err
}

func (m *memory) SessionAccount(ctx context.Context, account authcore.AccountID, id authcore.SessionID) (
	got authcore.Account, revoked bool, err error,
) {
	err = m.find(ctx, withID(account), func(a *authcore.Account) {
		got = *a
		_, revoked = m.revoked[sessionKey{account, id}]
	})
	return got, revoked, err
}

func (m *memory) DeleteRevocations(ctx context.Context, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for key, at := range m.revoked {
		if at < now.UnixMilli() {
			delete(m.revoked, key)
		}
	}
	return nil
}
