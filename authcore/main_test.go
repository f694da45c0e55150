package authcore

import (
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

// operator acts without an account.
var operator = Actor{Client: Client{Dialect: "operator"}}

// as returns the actor that a proven caller is.
func as(id Identity) Actor { return Actor{id, client} }

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

// confirmOwn confirms the address of an account by the code that it was just sent, if there is mail.
func (h *house) confirmOwn(t testing.TB, g Grant) {
	t.Helper()
	if !h.confirms() {
		return
	}
	n := h.mail.take()
	want(t, "the code of a new account", fmt.Sprint(n.Kind, n.To), fmt.Sprint(NoticeConfirmCode, g.Account.Email))
	want(t, "confirming an address", h.ConfirmEmail(t.Context(), Actor{g.Proven.Identity, Client{Dialect: "test", Addr: netip.MustParseAddr("192.0.2.200")}}, string(n.Code)), nil)
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

// idle waits for the tasks in the background and for the log.
func (h *house) idle() { h.state.idle(context.Background()) }

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
