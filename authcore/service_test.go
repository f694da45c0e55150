package authcore

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/bcrypt"
)

func TestRegister(t *testing.T) {
	h := newHouse(t)
	first := must[Account](t)(h.Register(t.Context(), Registration{
		ClaimedName: "Ａlice", Password: NewPassword(rightPassword), DisplayName: "Alice", ClaimedEmail: "alice@EXAMPLE.com", Client: client,
	}))
	want(t, "username", first.Username, "alice")
	want(t, "email", first.Email, "alice@example.com")
	want(t, "number", first.Number, 1)
	want(t, "length of the ID", len(first.ID), 36)
	want(t, "display name", first.DisplayName, "Alice")
	if len(first.EmailHash) != 32 || !strings.HasPrefix(string(first.PasswordHash), "$argon2id$") || first.CreatedAt.IsZero() || first.Disabled || first.Bot {
		t.Errorf("got %+v", first)
	}
	h.store.accounts[0].EmailConfirmed = true // or others could have it, too

	for _, c := range []struct {
		what, name, password, email string
		kind                        Kind
		hashes                      int64
	}{
		{"the same name", "alice", rightPassword, "", KindUsernameTaken, 0},
		{"the same name in another spelling", "ALICE", rightPassword, "", KindUsernameTaken, 0},
		{"a name that looks like it", "аӏісе", rightPassword, "", KindUsernameTaken, 1},
		{"a name that looks like it, with a digit", "a1ice", rightPassword, "", KindUsernameTaken, 1},
		{"the same address", "bob", rightPassword, "ALICE@example.com", KindEmailTaken, 1},
		{"name and address", "a1ice", rightPassword, "alice@example.com", KindUsernameTaken, 1},
		{"no name", "", rightPassword, "", KindInvalidUsername, 0},
		{"reserved", "admin", rightPassword, "", KindInvalidUsername, 0},
		{"short", "bob", "1234567", "", KindWeakPassword, 0},
		{"common", "bob", "password", "", KindWeakPassword, 0},
		{"the name", "margarete", "Margarete1", "", KindWeakPassword, 0},
		{"huge", "bob", strings.Repeat("xy", 1<<20), "", KindWeakPassword, 0},
		{"no address", "bob", rightPassword, "bob", KindInvalidEmail, 0},
	} {
		before := h.hasher.hashes.Load()
		a, err := h.Register(t.Context(), Registration{ClaimedName: c.name, Password: NewPassword(c.password), ClaimedEmail: c.email, Client: client})
		wantKind(t, c.what, err, c.kind)
		want(t, c.what+": hashes", h.hasher.hashes.Load()-before, c.hashes)
		want(t, c.what+": account", a.ID, "")
	}
	want(t, "accounts", len(h.store.accounts), 1)

	for _, op := range []string{"AccountByUsername", "CreateAccount"} {
		h.store.onCall(func(_ context.Context, called string) error {
			if called == op {
				return errStore
			}
			return nil
		})
		_, err := h.Register(t.Context(), Registration{ClaimedName: "bob", Password: NewPassword(rightPassword), Client: client})
		wantKind(t, op+" fails", err, KindUnavailable)
	}
	h.store.onCall(nil)
	h.register(t, "bob")

	closed := newHouse(t, func(_ *StateOptions, p *Policy) { p.Registration = RegistrationClosed })
	_, err := closed.Register(t.Context(), Registration{ClaimedName: "alice", Password: NewPassword(rightPassword), Client: client})
	wantKind(t, "closed", err, KindRegistrationClosed)
}

// REG-02: of those who want one name at once, in whatever spelling, one gets it.
func TestREG02AtOnce(t *testing.T) {
	h := newHouse(t)
	for round := range 10 {
		var won, taken atomic.Int32
		parallel(16, func(i int) {
			name := fmt.Sprintf([]string{"bob%d", "BOB%d", "ＢＯＢ%d", "b0b%d"}[i%4], round+2)
			email := fmt.Sprintf("bob%d@example.com", round)
			_, err := h.Register(context.Background(), Registration{ClaimedName: name, Password: NewPassword(rightPassword), ClaimedEmail: email, Client: client})
			switch {
			case err == nil:
				won.Add(1)
			case KindOf(err) == KindUsernameTaken:
				taken.Add(1)
			default:
				t.Error(err)
			}
		})
		want(t, "won and lost", fmt.Sprint(won.Load(), taken.Load()), "1 15")
	}
}

func TestLogin(t *testing.T) {
	h := newHouse(t)
	a := h.register(t, "alice")
	c := Client{Dialect: "line", Addr: netip.MustParseAddr("2001:db8::1"), UserAgent: strings.Repeat("ü", 127) + "x\x00\xffÿÿÿ"}
	for _, spelling := range []string{"alice", "ALICE", "Ａｌｉｃｅ"} {
		g := must[Grant](t)(h.Login(t.Context(), Credentials{ClaimedName: spelling, Password: NewPassword(rightPassword), Client: c}))
		id := must[Identity](t)(h.auth(t, g))
		want(t, "identity", id, Identity{a.ID, g.Session.ID, "alice", "", "", 1, g.Expires})
		want(t, "idle limit", g.Session.IdleLimit, 14*24*time.Hour)
		want(t, "absolute end", g.Session.ExpiresAt, h.clock.Now().Add(30*24*time.Hour))
		want(t, "dialect and address", fmt.Sprint(g.Session.Dialect, g.Session.Addr), fmt.Sprint("line", c.Addr))
		if ua := g.Session.UserAgent; len(ua) > 256 || !utf8.ValidString(ua) || strings.Contains(ua, "\x00") {
			t.Errorf("agent %q", ua)
		}
	}
	want(t, "sessions, each a new one (SES-04)", len(h.store.sessions), 3)
	for what, c := range map[string]struct {
		name, password string
		kind           Kind
	}{
		"wrong": {"alice", "wrong password", KindWrongPassword}, "empty": {"alice", "", KindWrongPassword}, "space after": {"alice", rightPassword + " ", KindWrongPassword},
		"case": {"alice", strings.ToUpper(rightPassword), KindWrongPassword}, "unknown": {"mallory", rightPassword, KindUnknownAccount}, "lookalike": {"a1ice", rightPassword, KindUnknownAccount},
		"impossible": {"al ice", rightPassword, KindUnknownAccount}, "no name": {"", "", KindUnknownAccount}, "huge": {"bob", strings.Repeat("x", 1<<20), KindUnknownAccount},
	} {
		g, err := h.try(t, c.name, c.password)
		wantKind(t, what, err, c.kind)
		want(t, what+": token", string(g.Token), "")
	}
	want(t, "sessions", len(h.store.sessions), 3)

	for _, op := range []string{"AccountByUsername", "CreateSession"} {
		h.store.onCall(func(_ context.Context, called string) error {
			if called == op {
				return errStore
			}
			return nil
		})
		g, err := h.try(t, "alice", rightPassword)
		wantKind(t, op+" fails", err, KindUnavailable)
		want(t, op+" fails: token", string(g.Token), "")
	}
	h.store.onCall(nil)
	h.login(t, "alice")
}

// ENU-01: whoever has no account, or a damaged one, costs exactly what a wrong password costs, of the same kind.
func TestENU01SameWork(t *testing.T) {
	h := newHouse(t, func(_ *StateOptions, p *Policy) { p.Backoff.Free = 100 })
	h.register(t, "alice")
	h.register(t, "disabled")
	h.store.accounts[1].Disabled = true
	for name, stored := range map[string]PasswordHash{"nohash": "", "damaged": "$argon2id$x", "greedy": "$argon2id$v=19$m=4194304,t=9,p=1$QUFBQUFBQUE$QUFBQUFBQUFBQUFBQUFBQUE"} {
		h.register(t, name)
		h.store.accounts[len(h.store.accounts)-1].PasswordHash = stored
	}
	want(t, "the decoy's cost", h.hasher.decoy.cost, h.hasher.cost)
	want(t, "the decoy's key", len(h.hasher.decoy.key), keySize)
	for _, name := range []string{"alice", "disabled", "nohash", "damaged", "greedy", "mallory", "al ice", "", "<b>", "admin", strings.Repeat("x", 1<<20)} {
		for _, password := range []string{"wrong password", "", "x\x00", "\xff", strings.Repeat("x", 2000), strings.Repeat("x", 1<<20)} {
			before := h.hasher.hashes.Load()
			_, err := h.try(t, name, password)
			wantKind(t, name, err, KindWrongPassword, KindUnknownAccount)
			want(t, fmt.Sprintf("hashes for %.20q with a password of %d bytes", name, len(password)), h.hasher.hashes.Load()-before, 1)
		}
	}
}

// A hash from elsewhere, or of former times, is made anew at the login that proves it, and at no other.
func TestHashUpgradedAtLogin(t *testing.T) {
	h := newHouse(t)
	h.register(t, "alice")
	stored := func() PasswordHash { return h.store.accounts[0].PasswordHash }
	old := PasswordHash(must[[]byte](t)(bcrypt.GenerateFromPassword([]byte(rightPassword), bcrypt.MinCost)))
	h.store.accounts[0].PasswordHash = old
	_, err := h.try(t, "alice", "wrong password")
	wantKind(t, "a wrong password", err, KindWrongPassword)
	want(t, "unchanged by it", string(stored()), string(old))

	h.store.onCall(func(_ context.Context, op string) error {
		if op == "SwapPasswordHash" {
			return errStore
		}
		return nil
	})
	h.login(t, "alice") // an upgrade that fails does not keep anybody out
	want(t, "unchanged by a failure", string(stored()), string(old))
	h.store.onCall(nil)

	h.login(t, "alice")
	if !strings.HasPrefix(string(stored()), "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Errorf("not upgraded: %s", string(stored()))
	}
	fresh := stored()
	h.login(t, "alice")
	want(t, "upgraded once", string(stored()), string(fresh))
	_, err = h.try(t, "alice", "wrong password")
	wantKind(t, "a wrong password, afterwards", err, KindWrongPassword)

	// Somebody who changed it meanwhile is not overruled.
	h.store.accounts[0].PasswordHash = old
	h.store.onCall(func(_ context.Context, op string) error {
		if op == "SwapPasswordHash" {
			h.store.accounts[0].PasswordHash = "$changed"
		}
		return nil
	})
	h.login(t, "alice")
	want(t, "changed meanwhile", string(stored()), "$changed")
}

// What may be shown never contains what is for the log, and the log never contains a secret (CFG-04).
func TestErrorsAndLogsTellNoSecrets(t *testing.T) {
	synctest.Test(t, testErrorsAndLogsTellNoSecrets) // what takes its time takes none
}

func testErrorsAndLogsTellNoSecrets(t *testing.T) {
	var log bytes.Buffer
	h := newHouse(t, func(o *StateOptions, _ *Policy) {
		o.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	const guess = "Guessed-Secret-99"
	g := h.person(t, "alice")
	h.join(t, "dave")
	const invite InviteCode = "SECRET-9f86d081884c7d65"
	invites := []string{string(invite)}
	secrets := []string{rightPassword, guess, string(g.Token), strings.Split(string(g.Token), ".")[2], string(h.store.accounts[0].PasswordHash)}
	operations := map[string]func() error{
		"register": func() error {
			_, err := h.Register(t.Context(), Registration{ClaimedName: "bob", Password: NewPassword(guess), Client: client})
			return err
		},
		"bad name": func() error {
			_, err := h.Register(t.Context(), Registration{ClaimedName: "b\u202eob", Password: NewPassword(guess), Client: client})
			return err
		},
		"bad address": func() error {
			_, err := h.Register(t.Context(), Registration{ClaimedName: "bob", Password: NewPassword(guess), ClaimedEmail: "a@xn--a.b", Client: client})
			return err
		},
		"login":       func() error { _, err := h.try(t, "alice", guess); return err },
		"right login": func() error { _, err := h.try(t, "alice", rightPassword); return err },
		"bad token":   func() error { _, err := h.Authenticate(t.Context(), h.tok(g)+"x"); return err },
		"token":       func() error { h.state.live.forget(); _, err := h.auth(t, g); return err },
		"end":         func() error { _, err := h.EndSession(t.Context(), operator, g.Account.ID, g.Session.ID); return err },
		"end all":     func() error { _, err := h.LogoutAll(t.Context(), operator, g.Account.ID, ""); return err },
		"disable":     func() error { _, err := h.Disable(t.Context(), operator, g.Account.ID); return err },
		"flush":       func() error { h.state.flush(t.Context()); return nil },
		"refresh":     func() error { _, err := h.refresh(g, 0); return err },
		"join": func() error {
			_, err := h.Join(t.Context(), Registration{ClaimedName: "carol", Password: NewPassword(guess), NeedInvite: true, Invite: invite, Client: client})
			return err
		},
		"invite": func() error {
			code, _, err := h.CreateInvite(t.Context(), NewInvite{1, time.Hour, "", operator})
			if err == nil {
				invites = append(invites, string(code))
			}
			return err
		},
		"ensure": func() error {
			_, err := h.EnsureInvite(t.Context(), invite, NewInvite{1, time.Hour, "", operator})
			return err
		},
		"request": func() error {
			_, err := h.requestReset("dave")
			return err
		},
		"reset": func() error { return h.reset(PendingReset{h.UserHash("dave"), "x"}, "271828", guess) },
	}
	for _, broken := range []bool{true, false} {
		h.store.onCall(nil)
		if broken {
			h.store.onCall(func(context.Context, string) error { return errStore })
		}
		for name, do := range operations {
			for range 7 {
				err := do()
				if err == nil {
					continue
				}
				e := AsError(err)
				if e.Msg == "" || e.Err != nil && strings.Contains(e.Msg, e.Err.Error()) || strings.Contains(e.Msg, "SECRETDETAIL") {
					t.Errorf("%s: may be shown: %q", name, e.Msg)
				}
				for _, s := range secrets {
					if strings.Contains(e.Error(), s) {
						t.Errorf("%s: %v", name, e)
					}
				}
			}
		}
	}
	h.idle()
	for _, n := range h.mail.all {
		if n.Code != "" {
			invites = append(invites, `"`+string(n.Code)+`"`) // six digits may stand in a time
		}
	}
	for _, s := range append(append(secrets, "271828"), invites...) {
		if strings.Contains(log.String(), s) {
			t.Errorf("the log contains %q", s)
		}
	}
	for _, event := range []string{"account registered", "login", "login failed", "login delayed after failures", "sessions ended", "invite made", "code sent"} {
		if !strings.Contains(log.String(), `"msg":"`+event+`"`) {
			t.Errorf("the log does not tell of %q", event)
		}
	}
}

func TestPolicy(t *testing.T) {
	if err := DefaultPolicy().Validate(); err != nil {
		t.Error(err)
	}
	for what, change := range map[string]func(*Policy){
		"no issuer": func(p *Policy) { p.Issuer = "" }, "no audience": func(p *Policy) { p.Audience = "" }, "min password 7": func(p *Policy) { p.MinPassword = 7 },
		"min password 65": func(p *Policy) { p.MinPassword = 65 }, "session max": func(p *Policy) { p.SessionMax = time.Second }, "session max for ever": func(p *Policy) { p.SessionMax = 1 << 62 },
		"idle negative": func(p *Policy) { p.SessionIdle = -1 }, "idle beyond max": func(p *Policy) { p.SessionIdle = p.SessionMax + 1 }, "idle shorter than uses are seen": func(p *Policy) { p.SessionIdle = 59 * time.Second },
		"backoff free 0": func(p *Policy) { p.Backoff.Free = 0 }, "backoff free 101": func(p *Policy) { p.Backoff.Free = 101 }, "backoff base": func(p *Policy) { p.Backoff.Base = 0 },
		"backoff max": func(p *Policy) { p.Backoff.Max = p.Backoff.Base - 1 }, "login rate": func(p *Policy) { p.LoginRate.Burst = 0 }, "signup rate": func(p *Policy) { p.SignupRate.Per = 0 },
		"rate too fine": func(p *Policy) { p.LoginRate = Rate{1000, 999} }, "registration": func(p *Policy) { p.Registration = RegistrationClosed + 1 }, "nothing": func(p *Policy) { *p = Policy{} },
	} {
		p := DefaultPolicy()
		change(&p)
		if err := p.Validate(); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	h := newHouse(t)
	p := DefaultPolicy()
	p.SessionMax = h.state.options.MaxTokens + 1
	if _, err := NewService(ServiceOptions{State: h.state, Policy: p}); err == nil {
		t.Error("sessions that outlive the keys: accepted")
	}
	if _, err := NewService(ServiceOptions{State: h.state}); err == nil {
		t.Error("no policy: accepted")
	}
	o := h.state.options
	for what, change := range map[string]func(*StateOptions){
		"accounts": func(o *StateOptions) { o.Accounts = nil }, "sessions": func(o *StateOptions) { o.Sessions = nil }, "keys": func(o *StateOptions) { o.Keys = nil },
		"revocations": func(o *StateOptions) { o.Revocations = nil }, "codes": func(o *StateOptions) { o.Codes = nil },
		"invites": func(o *StateOptions) { o.Invites = nil }, "devices": func(o *StateOptions) { o.Devices = nil },
		"limits": func(o *StateOptions) { o.Limits = nil }, "rotation": func(o *StateOptions) { o.KeyRotate = 0 }, "lifetime": func(o *StateOptions) { o.MaxTokens = 0 },
	} {
		o := o
		change(&o)
		if _, err := OpenState(t.Context(), o); err == nil {
			t.Errorf("no %s: accepted", what)
		}
	}
	h.store.onCall(func(context.Context, string) error { return errStore })
	if _, err := OpenState(t.Context(), o); err == nil {
		t.Error("a broken store: accepted")
	}
}

// What falls due is done: uses are written every half minute and once more at the end; keys rotate and dead sessions
// go every hour, but none that was used since.
func TestRun(t *testing.T) {
	for range 8 { // both tickers fire at the full hour, in either order
		synctest.Test(t, testRun)
	}
}

func testRun(t *testing.T) {
	h := newHouse(t, func(o *StateOptions, p *Policy) {
		o.Now, o.KeyRotate = time.Now, 30*time.Minute
		o.Limits, _ = NewMemoryLimits(time.Now)
		p.SessionIdle = 40 * time.Minute
	})
	used, unused := h.person(t, "alice"), h.login(t, "alice")
	key := signerID(t, h.state.keyring)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		h.state.Run(ctx)
		close(ended)
	}()
	seen := func() time.Time {
		t.Helper()
		return must[Session](t)(h.store.Session(t.Context(), used.Account.ID, used.Session.ID)).LastSeenAt
	}
	start := time.Now()
	time.Sleep(10 * time.Second)
	must[Identity](t)(h.auth(t, used))
	time.Sleep(20*time.Second + 1)
	synctest.Wait()
	want(t, "written after", seen().Sub(start).Round(time.Second), 10*time.Second)

	// The store fails to learn of a use in time, but before it would forget the session for want of one.
	h.store.onCall(func(_ context.Context, op string) error {
		if op == "TouchSessions" && time.Since(start) < time.Hour-time.Second {
			return errStore
		}
		return nil
	})
	time.Sleep(39 * time.Minute)
	must[Identity](t)(h.auth(t, used))
	time.Sleep(20*time.Minute + 15*time.Second) // 59:45
	must[Identity](t)(h.auth(t, used))
	time.Sleep(time.Minute)
	synctest.Wait()
	h.store.onCall(nil)
	must[Identity](t)(h.auth(t, used))
	if _, err := h.store.Session(t.Context(), used.Account.ID, used.Session.ID); err != nil {
		t.Errorf("a session in use was forgotten: %v", err)
	}
	_, err := h.store.Session(t.Context(), unused.Account.ID, unused.Session.ID)
	wantKind(t, "the unused session", err, KindSessionOver)
	if signerID(t, h.state.keyring) == key {
		t.Error("the key was not rotated")
	}

	time.Sleep(10 * time.Second)
	must[Identity](t)(h.auth(t, used))
	last := time.Now()
	cancel()
	<-ended
	want(t, "written at the end", seen(), last.UTC().Truncate(time.Millisecond))
}

// What is behind a service cannot be reached through it, nor through the state that a caller made it of.
func TestServiceIsTheOnlyDoor(t *testing.T) {
	t.Parallel()
	service := reflect.TypeFor[*Service]()
	for f := range service.Elem().Fields() {
		if f.IsExported() || f.Anonymous {
			t.Errorf("Service lets callers at its %s", f.Name)
		}
	}
	for f := range reflect.TypeFor[State]().Fields() {
		if f.IsExported() || f.Anonymous {
			t.Errorf("State lets callers at its %s", f.Name)
		}
	}
	live := reflect.TypeFor[*Live]() // whose connections the owner of a state ends when the process goes away
	behind := []reflect.Type{reflect.TypeFor[*State](), reflect.TypeFor[*keyring](), reflect.TypeFor[StateOptions]()}
	for _, door := range []reflect.Type{service, reflect.TypeFor[*State]()} {
		for m := range door.Methods() {
			for out := range m.Type.Outs() {
				if slices.Contains(behind, out) || out == live && door == service || out.Kind() == reflect.Interface && out != reflect.TypeFor[error]() {
					t.Errorf("%s.%s returns a %s", door, m.Name, out)
				}
			}
		}
	}
}
