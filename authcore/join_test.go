package authcore

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func joining(name string) Registration {
	return Registration{ClaimedName: name, Password: NewPassword(rightPassword), Client: client}
}

func TestJoin(t *testing.T) {
	h := newHouse(t)
	r := joining("Ａlice")
	r.DisplayName, r.ClaimedEmail, r.TokenLifetime = "Alice  A.", "alice@example.com", time.Hour
	g := must[Grant](t)(h.Join(t.Context(), r))
	id := must[Identity](t)(h.auth(t, g))
	want(t, "identity", id, Identity{g.Account.ID, g.Session.ID, "alice", "Alice A.", "", 1, h.clock.Now().Add(time.Hour)})
	want(t, "dialect", g.Session.Dialect, "test")
	must[Grant](t)(h.try(t, "alice", rightPassword))

	for what, kind := range map[string]Kind{"alice": KindUsernameTaken, "a1ice": KindUsernameTaken, "": KindInvalidUsername, "admin": KindInvalidUsername} {
		_, err := h.Join(t.Context(), joining(what))
		wantKind(t, what, err, kind)
	}
	r = joining("bob")
	r.DisplayName = "\u202e"
	_, err := h.Join(t.Context(), r)
	wantKind(t, "display name", err, KindInvalidInput)
	want(t, "accounts", len(h.store.accounts), 1)
	want(t, "sessions", len(h.store.sessions), 2)
}

// Whatever fails between the two things that Join makes, there are both or none; unless the store failed to say.
func TestJoinHalfWay(t *testing.T) {
	h := newHouse(t)
	fail := func(at string) {
		h.store.onCall(func(_ context.Context, op string) error {
			if strings.Contains(at, op+" ") {
				return errStore
			}
			return nil
		})
	}
	for at, sessions := range map[string]int{"CreateSession ": 0, "CreateAccount ": 0, "CreateAccount EndSession ": 1} {
		fail(at)
		g, err := h.Join(t.Context(), joining("alice"))
		wantKind(t, at, err, KindUnavailable)
		want(t, at+": token", string(g.Token), "")
		want(t, at+": accounts", len(h.store.accounts), 0)
		want(t, at+": sessions", len(h.store.sessions), sessions)
		clear(h.store.sessions)
	}
	h.store.onCall(nil)

	// A client that goes away is no reason to leave a session behind.
	ctx, cancel := context.WithCancel(t.Context())
	h.store.onCall(func(ctx context.Context, op string) error {
		if op == "CreateAccount" {
			cancel()
		}
		return ctx.Err()
	})
	_, err := h.Join(ctx, joining("alice"))
	wantKind(t, "gone", err, KindUnavailable)
	want(t, "sessions", len(h.store.sessions), 0)
	h.store.onCall(nil)

	// The account was made, but the answer was lost: logging in tells.
	h.store.onDone(func(op string) error {
		if op == "CreateAccount" {
			return errStore
		}
		return nil
	})
	_, err = h.Join(t.Context(), joining("alice"))
	wantKind(t, "a lost answer", err, KindUnavailable)
	want(t, "sessions", len(h.store.sessions), 0)
	h.store.onDone(nil)
	must[Identity](t)(h.auth(t, h.login(t, "alice")))

	// The session that was begun is nobody's until there is an account.
	var early Grant
	h.store.onCall(func(_ context.Context, op string) error {
		if op == "CreateAccount" {
			for _, s := range h.store.sessions {
				if s.Account != h.store.accounts[0].ID {
					early.Token, _, _ = h.tokens.issue(&Account{ID: s.Account, Username: "bob"}, &s, 0)
				}
			}
			if _, err := h.auth(t, early); KindOf(err) != KindSessionOver {
				t.Errorf("a session without an account: %v", err)
			}
		}
		return nil
	})
	g := must[Grant](t)(h.Join(t.Context(), joining("bob")))
	h.store.onCall(nil)
	if early.Token == "" {
		t.Error("no session was begun before the account")
	}
	must[Identity](t)(h.auth(t, g))
}

func TestJoinAtOnce(t *testing.T) {
	h := newHouse(t)
	for round := range 10 {
		var won atomic.Int32
		parallel(16, func(i int) {
			name := fmt.Sprintf([]string{"bob%d", "BOB%d", "b0b%d"}[i%3], round+2)
			g, err := h.Join(context.Background(), joining(name))
			switch {
			case err == nil:
				won.Add(1)
				must[Identity](t)(h.auth(t, g))
			case KindOf(err) != KindUsernameTaken:
				t.Error(err)
			}
		})
		want(t, "won", won.Load(), 1)
	}
	want(t, "sessions", len(h.store.sessions), 10)
}

func (h *house) loginOrJoin(name, password string) (Grant, error) {
	return h.LoginOrJoin(context.Background(), Credentials{ClaimedName: name, Password: NewPassword(password), TokenLifetime: time.Hour, Client: client})
}

func TestLoginOrJoin(t *testing.T) {
	h := newHouse(t)
	first := must[Grant](t)(h.loginOrJoin("alice", rightPassword))
	second := must[Grant](t)(h.loginOrJoin("ALICE", rightPassword))
	want(t, "account", second.Account.ID, first.Account.ID)
	want(t, "expires", second.Expires, h.clock.Now().Add(time.Hour))
	for _, g := range []Grant{first, second} {
		must[Identity](t)(h.auth(t, g))
	}
	for what, c := range map[string]struct {
		name, password string
		kind           Kind
	}{
		"a wrong password": {"alice", "wrong password", KindWrongPassword}, "a name that looks like it": {"a1ice", rightPassword, KindUsernameTaken},
		"no name": {"a b", rightPassword, KindInvalidUsername}, "reserved": {"admin", rightPassword, KindInvalidUsername}, "weak": {"bob", "short", KindWeakPassword},
	} {
		_, err := h.loginOrJoin(c.name, c.password)
		wantKind(t, what, err, c.kind)
	}
	want(t, "accounts", len(h.store.accounts), 1)

	_, err := h.LoginOrJoin(t.Context(), Credentials{ClaimedEmail: "alice@example.com", Password: NewPassword(rightPassword), Client: client})
	wantKind(t, "an unknown address", err, KindUnknownAccount)
	for _, registration := range []RegistrationMode{RegistrationInvited, RegistrationClosed} {
		for _, conceals := range []bool{false, true} {
			h := newHouse(t, func(_ *StateOptions, p *Policy) { p.Registration, p.Conceal = registration, conceals })
			_, err := h.loginOrJoin("alice", rightPassword)
			wantKind(t, "not open", err, map[bool]Kind{false: KindUnknownAccount, true: KindWrongPassword}[conceals])
		}
	}
}

// Of many who come with one new name and password at once, all are logged in to one account.
func TestLoginOrJoinAtOnce(t *testing.T) {
	h := newHouse(t, func(_ *StateOptions, p *Policy) { p.Backoff.Free = 100 })
	for round := range 10 {
		parallel(16, func(int) {
			g, err := h.loginOrJoin(fmt.Sprint("user", round+2), rightPassword)
			if err != nil {
				t.Error(err)
				return
			}
			must[Identity](t)(h.auth(t, g))
		})
	}
	want(t, "accounts", len(h.store.accounts), 10)
	want(t, "sessions", len(h.store.sessions), 160)
}

// However a store contradicts itself, it comes to an end.
func TestLoginOrJoinEnds(t *testing.T) {
	h := newHouse(t)
	a := h.register(t, "alice")
	asked := 0
	h.store.onCall(func(_ context.Context, op string) error {
		if op == "AccountByUsername" {
			asked++
			if h.store.accounts[0].Username = a.Username; asked%3 == 1 { // a login asks, then a registration, then whether to try again
				h.store.accounts[0].Username = "somebody-else"
			}
		}
		return nil
	})
	_, err := h.loginOrJoin("alice", rightPassword)
	wantKind(t, "contradiction", err, KindUsernameTaken, KindUnknownAccount)
	if asked > 10 {
		t.Errorf("asked %d times", asked)
	}
}

func TestLoginByEmail(t *testing.T) {
	h := newHouse(t)
	a := h.join(t, "alice").Account
	by := func(email, password string) (Grant, error) {
		return h.Login(t.Context(), Credentials{ClaimedEmail: email, Password: NewPassword(password), Client: client})
	}
	for _, email := range []string{"alice@example.com", "ALICE@example.COM"} {
		g := must[Grant](t)(by(email, rightPassword))
		want(t, "account", must[Identity](t)(h.auth(t, g)).Account, a.ID)
	}
	for email, kind := range map[string]Kind{"alice@example.com": KindWrongPassword, "mallory@example.com": KindUnknownAccount, "alice": KindUnknownAccount, "a\x00\xff": KindUnknownAccount} {
		_, err := by(email, "wrong password")
		wantKind(t, email, err, kind)
	}
	h.store.onCall(func(_ context.Context, op string) error {
		if op == "AccountByEmailHash" {
			return errStore
		}
		return nil
	})
	_, err := by("alice@example.com", rightPassword)
	wantKind(t, "the store fails", err, KindUnavailable)
	h.store.onCall(nil)

	// Concealed, nobody's address is answered like a wrong password.
	h = newHouse(t, conceal)
	h.join(t, "alice")
	for range 8 { // the sixth time, too
		_, known := by("alice@example.com", "wrong password")
		for _, email := range []string{"mallory@example.com", "no address"} {
			_, unknown := by(email, "wrong password")
			want(t, email, fmt.Sprintf("%+v", *AsError(unknown)), fmt.Sprintf("%+v", *AsError(known)))
		}
	}
}

// ENU-01: whose address it is, or whether it is one, makes no difference to the work. PWD-02: one counter for name and
// address.
func TestENU01SameWorkByEmail(t *testing.T) {
	h := newHouse(t, func(_ *StateOptions, p *Policy) { p.Backoff.Free = 100 })
	h.join(t, "alice")
	h.join(t, "nohash")
	h.join(t, "disabled")
	h.store.accounts[1].PasswordHash, h.store.accounts[2].Disabled = "", true
	for _, email := range []string{"alice@example.com", "nohash@example.com", "disabled@example.com", "mallory@example.com", "no address", "a@b", "\xff@x.y", strings.Repeat("x", 1<<20)} {
		for _, password := range []string{"wrong password", "x\x00", strings.Repeat("x", 1<<20)} {
			hashes, looks := h.hasher.hashes.Load(), h.store.count("AccountByEmailHash")
			_, err := h.Login(t.Context(), Credentials{ClaimedEmail: email, Password: NewPassword(password), Client: client})
			wantKind(t, email, err, KindWrongPassword, KindUnknownAccount)
			want(t, fmt.Sprintf("hashes for %.20q", email), h.hasher.hashes.Load()-hashes, 1)
			want(t, fmt.Sprintf("look-ups for %.20q", email), h.store.count("AccountByEmailHash")-looks, 1)
		}
	}

	h = newHouse(t)
	h.join(t, "alice")
	before := h.hasher.hashes.Load()
	for i := range 30 {
		c := Credentials{ClaimedName: "Alice", Password: NewPassword("wrong password"), Client: client}
		if i%2 == 0 {
			c.ClaimedEmail = []string{"alice@example.com", "ALICE@EXAMPLE.com"}[i/2%2]
		}
		_, _ = h.Login(t.Context(), c)
	}
	want(t, "tries by name and address that reached the hash", h.hasher.hashes.Load()-before, 5)
	before = h.hasher.hashes.Load()
	for range 20 {
		_, _ = h.Login(t.Context(), Credentials{ClaimedEmail: "mallory@example.com", Password: NewPassword("wrong password"), Client: client})
	}
	want(t, "tries for nobody's address", h.hasher.hashes.Load()-before, 5)
}
