package authcore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cheap is a hash cost for tests that are not about it.
var cheap = Argon2{Memory: 64, Time: 1, Threads: 1}

// clock is a clock that tests turn.
type clock struct{ offset, base atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.base.Store(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) Now() time.Time          { return time.Unix(0, c.base.Load()+c.offset.Load()).UTC() }
func (c *clock) Advance(d time.Duration) { c.offset.Add(int64(d)) }

var errStore = errors.New("the-store-is-broken-SECRETDETAIL")

// memory is a store for tests: it keeps the contracts, counts, and fails or waits where a test says so.
type memory struct {
	mu       sync.Mutex
	accounts []Account
	sessions map[SessionID]Session
	revoked  map[[2]string]bool
	keys     []Key
	codes    map[codePlace]Code
	invites  []Invite
	devices  map[AccountID]map[string]time.Time
	phones   map[string]bool
	pending  map[AccountID]PhoneCode

	hook  atomic.Pointer[func(ctx context.Context, op string) error] // before an operation
	after atomic.Pointer[func(op string) error]                      // after it was done
	calls sync.Map                                                   // op → *atomic.Int64
}

func newMemory() *memory {
	return &memory{
		sessions: make(map[SessionID]Session), revoked: make(map[[2]string]bool), codes: make(map[codePlace]Code),
		devices: make(map[AccountID]map[string]time.Time), phones: make(map[string]bool), pending: make(map[AccountID]PhoneCode),
	}
}

func (m *memory) onCall(f func(ctx context.Context, op string) error) {
	if f == nil {
		m.hook.Store(nil)
		return
	}
	m.hook.Store(&f)
}

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

// do runs f under the lock, with what a test set around it.
func (m *memory) do(ctx context.Context, op string, f func() error) error {
	n, _ := m.calls.LoadOrStore(op, new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
	if h := m.hook.Load(); h != nil {
		if err := (*h)(ctx, op); err != nil {
			return err
		}
	}
	m.mu.Lock()
	err := f()
	m.mu.Unlock()
	if h := m.after.Load(); h != nil && err == nil {
		err = (*h)(op)
	}
	return err
}

func (m *memory) CreateAccount(ctx context.Context, a Account, invite []byte) (Account, error) {
	err := m.do(ctx, "CreateAccount", func() error {
		redeemed := m.inviteLocked(invite)
		if invite != nil && (redeemed == nil || !redeemed.usable(a.CreatedAt, a.EmailHash)) {
			return Errorf(KindBadInvite, "the invite is not valid, or not any more")
		}
		for _, b := range m.accounts {
			if a.Username.Skeleton() == b.Username.Skeleton() {
				return Errorf(KindUsernameTaken, "this username is taken")
			}
		}
		for _, b := range m.accounts {
			if a.EmailHash != nil && bytes.Equal(a.EmailHash, b.EmailHash) {
				return Errorf(KindEmailTaken, "this address is taken")
			}
		}
		a.Number = int64(len(m.accounts) + 1)
		m.accounts = append(m.accounts, a)
		if invite != nil {
			redeemed.Used++
		}
		return nil
	})
	return a, err
}

func (m *memory) account(ctx context.Context, op string, is func(Account) bool) (a Account, err error) {
	err = m.do(ctx, op, func() error {
		i := slices.IndexFunc(m.accounts, is)
		if i < 0 {
			return Errorf(KindUnknownAccount, "no such account")
		}
		a = m.accounts[i]
		return nil
	})
	return a, err
}

func (m *memory) AccountByID(ctx context.Context, id AccountID) (Account, error) {
	return m.account(ctx, "AccountByID", func(a Account) bool { return a.ID == id })
}

func (m *memory) AccountByUsername(ctx context.Context, n Username) (Account, error) {
	return m.account(ctx, "AccountByUsername", func(a Account) bool { return a.Username == n })
}

func (m *memory) AccountByEmailHash(ctx context.Context, h []byte) (Account, error) {
	return m.account(ctx, "AccountByEmailHash", func(a Account) bool { return bytes.Equal(a.EmailHash, h) })
}

func (m *memory) SwapPasswordHash(ctx context.Context, id AccountID, old, fresh PasswordHash) (did bool, err error) {
	err = m.do(ctx, "SwapPasswordHash", func() error {
		for i := range m.accounts {
			if a := &m.accounts[i]; a.ID == id && a.PasswordHash == old {
				a.PasswordHash, did = fresh, true
			}
		}
		return nil
	})
	return did, err
}

func (m *memory) SetDisabled(ctx context.Context, id AccountID, disabled bool) error {
	return m.do(ctx, "SetDisabled", func() error {
		for i := range m.accounts {
			if m.accounts[i].ID == id {
				m.accounts[i].Disabled = disabled
				return nil
			}
		}
		return Errorf(KindUnknownAccount, "no such account")
	})
}

func (m *memory) CreateSession(ctx context.Context, s Session) error {
	return m.do(ctx, "CreateSession", func() error {
		if _, ok := m.sessions[s.ID]; ok {
			return errors.New("exists")
		}
		m.sessions[s.ID] = s
		return nil
	})
}

func (m *memory) Session(ctx context.Context, account AccountID, id SessionID) (s Session, err error) {
	err = m.do(ctx, "Session", func() error {
		var ok bool
		if s, ok = m.sessions[id]; !ok || s.Account != account {
			return Errorf(KindSessionOver, "the session is over")
		}
		return nil
	})
	return s, err
}

func (m *memory) Sessions(ctx context.Context, account AccountID) (out []Session, err error) {
	err = m.do(ctx, "Sessions", func() error {
		for _, s := range m.sessions {
			if s.Account == account {
				out = append(out, s)
			}
		}
		return nil
	})
	return out, err
}

func (m *memory) TouchSessions(ctx context.Context, touches []Touch) error {
	return m.do(ctx, "TouchSessions", func() error {
		for _, t := range touches {
			if s, ok := m.sessions[t.Session]; ok && s.Account == t.Account && s.LastSeenAt.Before(t.At) {
				s.LastSeenAt = t.At
				m.sessions[t.Session] = s
			}
		}
		return nil
	})
}

func (m *memory) EndSession(ctx context.Context, account AccountID, id SessionID) (did bool, err error) {
	err = m.do(ctx, "EndSession", func() error {
		if s, ok := m.sessions[id]; ok && s.Account == account {
			delete(m.sessions, id)
			did = true
		}
		return nil
	})
	return did && err == nil, err
}

func (m *memory) EndSessions(ctx context.Context, account AccountID, epoch int64, except SessionID) (ended []SessionID, err error) {
	err = m.do(ctx, "EndSessions", func() error {
		for id, s := range m.sessions {
			if s.Account == account && s.Epoch < epoch && id != except {
				delete(m.sessions, id)
				ended = append(ended, id)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ended, nil
}

func (m *memory) DeleteExpired(ctx context.Context, now time.Time) (n int, err error) {
	err = m.do(ctx, "DeleteExpired", func() error {
		for id, s := range m.sessions {
			if s.over(now, s.LastSeenAt) {
				delete(m.sessions, id)
				n++
			}
		}
		return nil
	})
	return n, err
}

func (m *memory) RevokeSession(ctx context.Context, account AccountID, id SessionID, _ time.Time) error {
	return m.do(ctx, "RevokeSession", func() error {
		m.revoked[[2]string{string(account), string(id)}] = true
		return nil
	})
}

func (m *memory) RevokeSessions(ctx context.Context, account AccountID, kept Session) (epoch int64, lives SessionID, err error) {
	err = m.do(ctx, "RevokeSessions", func() error {
		for i := range m.accounts {
			if a := &m.accounts[i]; a.ID == account {
				if kept.ID != "" && !m.revoked[[2]string{string(account), string(kept.ID)}] && (kept.Epoch == a.Epoch || kept.ID == a.Kept) {
					lives = kept.ID
				}
				a.Epoch, a.Kept = a.Epoch+1, lives
				epoch = a.Epoch
				return nil
			}
		}
		return Errorf(KindUnknownAccount, "no such account")
	})
	return epoch, lives, err
}

func (m *memory) SessionAccount(ctx context.Context, account AccountID, id SessionID) (a Account, revoked bool, err error) {
	a, err = m.account(ctx, "SessionAccount", func(a Account) bool {
		revoked = m.revoked[[2]string{string(account), string(id)}]
		return a.ID == account
	})
	return a, revoked, err
}

func (m *memory) DeleteRevocations(ctx context.Context, _ time.Time) error {
	return m.do(ctx, "DeleteRevocations", func() error { return nil })
}

func (m *memory) Keys(ctx context.Context, p KeyPurpose) (out []Key, err error) {
	err = m.do(ctx, "Keys", func() error {
		for _, k := range slices.Backward(m.keys) {
			if k.Purpose == p {
				out = append(out, k)
			}
		}
		return nil
	})
	return out, err
}

func (m *memory) AddKey(ctx context.Context, k Key, newest string, until time.Time) (did bool, err error) {
	err = m.do(ctx, "AddKey", func() error {
		last := -1
		for i := range m.keys {
			if m.keys[i].Purpose == k.Purpose {
				last = i
			}
		}
		if last >= 0 && m.keys[last].ID != newest || last < 0 && newest != "" {
			return nil
		}
		if last >= 0 {
			m.keys[last].RetiredAt, m.keys[last].DeleteAt = k.CreatedAt, until
		}
		m.keys = append(m.keys, k)
		did = true
		return nil
	})
	return did, err
}

func (m *memory) DeleteKeys(ctx context.Context, now time.Time) error {
	return m.do(ctx, "DeleteKeys", func() error {
		m.keys = slices.DeleteFunc(m.keys, func(k Key) bool { return !k.DeleteAt.IsZero() && k.DeleteAt.Before(now) })
		return nil
	})
}

// forget drops every session that no look-up is under way for.
func (l *Live) forget() {
	for i := range l.shards {
		sh := &l.shards[i]
		sh.mu.Lock()
		for _, e := range sh.sessions {
			if e.loading == nil {
				sh.removeLocked(e)
			}
		}
		sh.mu.Unlock()
	}
}

// house is a service with everything behind it.
type house struct {
	*Service
	store *memory
	clock *clock
	mail  *mailbox
	texts *outbox
}

type setting func(*StateOptions, *Policy)

func newHouse(t testing.TB, settings ...setting) *house {
	t.Helper()
	c := newClock()
	return newHouseOn(t, newMemory(), c, settings...)
}

func newHouseOn(t testing.TB, m *memory, c *clock, settings ...setting) *house {
	t.Helper()
	limits, err := NewMemoryLimits(c.Now)
	if err != nil {
		t.Fatal(err)
	}
	o := StateOptions{
		Accounts: m, Sessions: m, Revocations: m, Codes: m, Invites: m, Devices: m, Keys: m, Limits: limits,
		KeyRotate: 30 * 24 * time.Hour, MaxTokens: 30 * 24 * time.Hour, Now: c.Now,
	}
	p := DefaultPolicy()
	p.Hash = HasherOptions{Cost: cheap, Parallel: 4, Queue: 1000, Wait: time.Minute}
	p.LoginRate, p.SignupRate = Rate{1 << 20, time.Minute}, Rate{1 << 20, time.Minute}
	for _, s := range settings {
		s(&o, &p)
	}
	st, err := OpenState(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	mail, texts := &mailbox{}, &outbox{}
	s, err := NewService(ServiceOptions{State: st, Policy: p, Mailer: mail, Texter: texts})
	if err != nil {
		t.Fatal(err)
	}
	return &house{s, m, c, mail, texts}
}

const rightPassword = "Lantern-Quarry-71"

var client = Client{Dialect: "test", Addr: netip.MustParseAddr("192.0.2.1"), UserAgent: "tests"}

func (h *house) register(t testing.TB, name string) Account {
	t.Helper()
	a, err := h.Register(t.Context(), Registration{ClaimedName: name, Password: NewPassword(rightPassword), Client: client})
	if err != nil {
		t.Fatalf("registering %q: %v", name, err)
	}
	return a
}

func (h *house) try(t testing.TB, name, password string) (Grant, error) {
	return h.Login(t.Context(), Credentials{ClaimedName: name, Password: NewPassword(password), Client: client})
}

func (h *house) login(t testing.TB, name string) Grant {
	t.Helper()
	g, err := h.try(t, name, rightPassword)
	if err != nil {
		t.Fatalf("logging %q in: %v", name, err)
	}
	return g
}

func (h *house) auth(t testing.TB, g Grant) (Identity, error) {
	p, err := h.Authenticate(t.Context(), UnverifiedToken(g.Token))
	return p.Identity, err
}

// online reports whether any node holds a live connection of an account.
func (h *house) online(t testing.TB, account AccountID) bool {
	t.Helper()
	live, err := h.connections(t.Context(), account)
	if err != nil {
		t.Error(err)
	}
	return len(live) > 0
}

// person registers and logs in.
func (h *house) person(t testing.TB, name string) Grant {
	t.Helper()
	h.register(t, name)
	return h.login(t, name)
}

// conn is a live connection that counts how it was ended.
type conn struct {
	lease Lease
	ends  [3]atomic.Int32
}

func (c *conn) End(cause EndCause) { c.ends[cause].Add(1) }

func (c *conn) ended() string {
	return fmt.Sprintf("session:%d token:%d shutdown:%d", c.ends[EndSession].Load(), c.ends[EndToken].Load(), c.ends[EndShutdown].Load())
}

func (h *house) hold(t testing.TB, g Grant, c *conn, tillExpiry bool) {
	t.Helper()
	if _, err := h.holdToken(t.Context(), UnverifiedToken(g.Token), c, &c.lease, tillExpiry); err != nil {
		t.Fatalf("holding: %v", err)
	}
}

// holdToken proves a token and holds a connection under its session.
func (h *house) holdToken(ctx context.Context, token UnverifiedToken, c LiveConn, lease *Lease, tillExpiry bool) (Identity, error) {
	p, err := h.Authenticate(ctx, token)
	if err == nil {
		err = h.Hold(ctx, p, c, lease, tillExpiry)
	}
	return p.Identity, err
}

func wantKind(t testing.TB, what string, err error, kinds ...Kind) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || !slices.Contains(kinds, e.Kind) {
		t.Errorf("%s: got error %v, want kind %v", what, err, kinds)
	}
}

func want[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// parallel runs f for 0 to n-1 at once and waits for all of them.
func parallel(n int, f func(i int)) {
	var done sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		done.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	done.Wait()
}

var (
	_ AccountStore = (*memory)(nil)
	_ SessionStore = (*memory)(nil)
	_ KeyStore     = (*memory)(nil)
)
