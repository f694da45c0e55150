package authcore

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// memory is the store of the domain's tests. It keeps the contracts (TestMemory), counts calls, and fails or waits where a
// test says so. Tests read and change its fields.
type memory struct {
	mu       sync.Mutex
	accounts []Account
	numbers  int64 // of accounts so far
	sessions map[sessionPlace]Session
	revoked  map[sessionPlace]time.Time // and until when that is to be remembered
	keys     []Key                      // in the order in which they were added
	codes    map[codePlace]Code
	invites  []Invite
	devices  map[AccountID]map[string]time.Time
	networks map[AccountID]map[string]time.Time
	phones   map[string]bool // numbers that were validated
	pending  map[AccountID]PhoneCode

	hook  atomic.Pointer[func(ctx context.Context, op string) error] // before an operation
	after atomic.Pointer[func(op string) error]                      // after it was done
	calls sync.Map                                                   // op → *atomic.Int64
}

func newMemory() *memory {
	return &memory{
		sessions: make(map[sessionPlace]Session), revoked: make(map[sessionPlace]time.Time), codes: make(map[codePlace]Code),
		devices: make(map[AccountID]map[string]time.Time), networks: make(map[AccountID]map[string]time.Time), phones: make(map[string]bool), pending: make(map[AccountID]PhoneCode),
	}
}

// onCall sets what runs before every operation; its error is the operation's, which then does nothing.
func (m *memory) onCall(f func(ctx context.Context, op string) error) {
	if f == nil {
		m.hook.Store(nil)
		return
	}
	m.hook.Store(&f)
}

// onDone sets what runs after every operation that succeeded; its error is the operation's, as of a connection that
// breaks after a commit.
func (m *memory) onDone(f func(op string) error) {
	if f == nil {
		m.after.Store(nil)
		return
	}
	m.after.Store(&f)
}

func (m *memory) count(op string) int64 {
	n, _ := m.calls.LoadOrStore(op, new(atomic.Int64))
	return n.(*atomic.Int64).Load()
}

// do runs an operation under the lock, with what a test set around it.
func (m *memory) do(ctx context.Context, op string, f func() error) error {
	n, _ := m.calls.LoadOrStore(op, new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
	if h := m.hook.Load(); h != nil {
		if err := (*h)(ctx, op); err != nil {
			return err
		}
	}
	m.mu.Lock()
	err := ctx.Err()
	if err == nil {
		err = f()
	}
	m.mu.Unlock()
	if h := m.after.Load(); h != nil && err == nil {
		err = (*h)(op)
	}
	return err
}

// result is do for an operation that returns a value: the zero value if it fails.
func result[T any](ctx context.Context, m *memory, op string, f func() (T, error)) (T, error) {
	var out, zero T
	err := m.do(ctx, op, func() (err error) {
		out, err = f()
		return err
	})
	if err != nil {
		return zero, err
	}
	return out, nil
}

// kept is a time as stores return it.
func kept(at time.Time) time.Time { return time.UnixMilli(at.UnixMilli()).UTC() }

// some is a hash as stores return it: one that is empty is none.
func some(hash []byte) []byte { return append([]byte(nil), hash...) }

func errNoAccount() error { return Errorf(KindUnknownAccount, "no such account") }

func (m *memory) findLocked(is func(*Account) bool) (*Account, error) {
	for i := range m.accounts {
		if is(&m.accounts[i]) {
			return &m.accounts[i], nil
		}
	}
	return nil, errNoAccount()
}

func (m *memory) accountLocked(id AccountID) (*Account, error) {
	return m.findLocked(func(a *Account) bool { return a.ID == id })
}

// freeLocked reports what of an account that is to be made belongs to another one.
func (m *memory) freeLocked(a Account, c Creation) error {
	var taken error
	for _, o := range m.accounts {
		switch {
		case o.ID == a.ID:
			return errors.New("there is an account with this ID")
		case o.Username.Skeleton() == a.Username.Skeleton():
			taken = Errorf(KindUsernameTaken, "this username is taken")
		case len(a.EmailHash) > 0 && bytes.Equal(o.EmailHash, a.EmailHash) && taken == nil &&
			(o.EmailConfirmed || a.EmailConfirmed || !c.SharedEmail):
			taken = Errorf(KindEmailTaken, "this address is taken")
		}
	}
	return taken
}

func (m *memory) CreateAccount(ctx context.Context, a Account, c Creation) (Account, error) {
	return result(ctx, m, "CreateAccount", func() (Account, error) {
		var redeemed *Invite
		if c.Invite != nil {
			redeemed = m.inviteLocked(c.Invite)
			if redeemed == nil || !redeemed.usable(a.CreatedAt, a.EmailHash) {
				return Account{}, badInvite()
			}
		}
		if err := m.freeLocked(a, c); err != nil {
			return Account{}, err
		}
		if redeemed != nil {
			redeemed.Used++
		}
		for i := range m.accounts {
			o := &m.accounts[i]
			o.DisplayClash = o.DisplayClash || o.DisplayName != "" && DisplaySkeleton(o.DisplayName) == a.Username.Skeleton()
		}
		a.DisplayClash = m.clashLocked(&a)
		m.numbers++
		a.Number, a.CreatedAt, a.EmailHash = m.numbers, kept(a.CreatedAt), some(a.EmailHash)
		m.accounts = append(m.accounts, a)
		return a, nil
	})
}

// find returns a copy of an account.
func (m *memory) find(ctx context.Context, op string, is func(*Account) bool) (Account, error) {
	return result(ctx, m, op, func() (Account, error) {
		a, err := m.findLocked(is)
		if err != nil {
			return Account{}, err
		}
		return *a, nil
	})
}

func (m *memory) AccountByID(ctx context.Context, id AccountID) (Account, error) {
	return m.find(ctx, "AccountByID", func(a *Account) bool { return a.ID == id })
}

func (m *memory) AccountByUsername(ctx context.Context, n Username) (Account, error) {
	return m.find(ctx, "AccountByUsername", func(a *Account) bool { return a.Username == n })
}

func (m *memory) AccountByEmailHash(ctx context.Context, h []byte) (Account, error) {
	return result(ctx, m, "AccountByEmailHash", func() (Account, error) {
		a, err := m.findLocked(func(a *Account) bool { return a.EmailConfirmed && bytes.Equal(a.EmailHash, h) })
		if err != nil {
			a, err = m.findLocked(func(a *Account) bool { return len(h) > 0 && bytes.Equal(a.EmailHash, h) })
		}
		if err != nil {
			return Account{}, err
		}
		return *a, nil
	})
}

func (m *memory) SwapPasswordHash(ctx context.Context, id AccountID, old, fresh PasswordHash) (bool, error) {
	return result(ctx, m, "SwapPasswordHash", func() (bool, error) {
		a, err := m.accountLocked(id)
		if err != nil || a.PasswordHash != old {
			return false, nil
		}
		a.PasswordHash = fresh
		return true, nil
	})
}

func (m *memory) SetDisabled(ctx context.Context, id AccountID, disabled bool) error {
	return m.do(ctx, "SetDisabled", func() error {
		a, err := m.accountLocked(id)
		if err == nil {
			a.Disabled = disabled
		}
		return err
	})
}

func (m *memory) SetProfile(ctx context.Context, id AccountID, displayName, avatarURL *string) (Account, error) {
	return result(ctx, m, "SetProfile", func() (Account, error) {
		a, err := m.accountLocked(id)
		if err != nil {
			return Account{}, err
		}
		if displayName != nil {
			a.DisplayName = *displayName
			a.DisplayClash = m.clashLocked(a)
		}
		if avatarURL != nil {
			a.AvatarURL = *avatarURL
		}
		return *a, nil
	})
}

// clashLocked reports whether the display name of a looks like the username of another account.
func (m *memory) clashLocked(a *Account) bool {
	if a.DisplayName == "" {
		return false
	}
	shown := DisplaySkeleton(a.DisplayName)
	_, err := m.findLocked(func(o *Account) bool { return o.ID != a.ID && shown == o.Username.Skeleton() })
	return err == nil
}

func (m *memory) AccountsShownAs(ctx context.Context, name Username) ([]AccountID, error) {
	return result(ctx, m, "AccountsShownAs", func() (all []AccountID, _ error) {
		for i := range m.accounts {
			if a := &m.accounts[i]; a.DisplayName != "" && DisplaySkeleton(a.DisplayName) == name.Skeleton() {
				all = append(all, m.accounts[i].ID)
			}
		}
		return all, nil
	})
}

func (m *memory) Keys(ctx context.Context, p KeyPurpose) ([]Key, error) {
	return result(ctx, m, "Keys", func() (out []Key, _ error) {
		for _, k := range slices.Backward(m.keys) {
			if k.Purpose == p {
				out = append(out, k)
			}
		}
		return out, nil
	})
}

func (m *memory) AddKey(ctx context.Context, k Key, newest string, until time.Time) (bool, error) {
	return result(ctx, m, "AddKey", func() (bool, error) {
		var last *Key
		for i := range m.keys {
			if m.keys[i].Purpose == k.Purpose {
				last = &m.keys[i]
			}
		}
		switch {
		case last == nil && newest != "" || last != nil && last.ID != newest:
			return false, nil
		case slices.ContainsFunc(m.keys, func(o Key) bool { return o.ID == k.ID }):
			return false, errors.New("there is a key with this ID")
		}
		k.CreatedAt = kept(k.CreatedAt)
		if last != nil {
			last.RetiredAt = k.CreatedAt
			if !until.IsZero() {
				last.DeleteAt = kept(until)
			}
		}
		m.keys = append(m.keys, k)
		return true, nil
	})
}

func (m *memory) DeleteKeys(ctx context.Context, now time.Time) error {
	return m.do(ctx, "DeleteKeys", func() error {
		m.keys = slices.DeleteFunc(m.keys, func(k Key) bool { return !k.DeleteAt.IsZero() && k.DeleteAt.Before(now) })
		return nil
	})
}

var (
	_ AccountStore = (*memory)(nil)
	_ KeyStore     = (*memory)(nil)
)
