package authcore

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func invited(_ *StateOptions, p *Policy) { p.Registration = RegistrationInvited }

func (h *house) invite(t testing.TB, n NewInvite) InviteCode {
	t.Helper()
	if n.Lifetime == 0 {
		n.Lifetime = time.Hour
	}
	code, i, err := h.CreateInvite(context.Background(), n)
	if err != nil || i.ID == "" || i.Uses != n.Uses {
		t.Fatalf("%+v, %v", i, err)
	}
	return code
}

func (h *house) registerBy(name string, code InviteCode, email string) error {
	_, err := h.Register(context.Background(), Registration{
		ClaimedName: name, Password: NewPassword(rightPassword), ClaimedEmail: email, Invite: code, Client: client,
	})
	return err
}

func TestInvites(t *testing.T) {
	h := newHouse(t, invited)
	code := string(h.invite(t, NewInvite{Uses: 4}))
	plain := strings.ReplaceAll(code, "-", "")
	if len(plain) != 20 || strings.Trim(plain, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" || strings.Count(code, "-") != 3 {
		t.Errorf("code %q", code)
	}
	if again := h.invite(t, NewInvite{Uses: 1}); string(again) == code {
		t.Error("the same code again")
	}
	for i, spelling := range []string{code, plain, strings.ToLower(code), " " + strings.ToLower(plain[:10]) + "--" + plain[10:] + "\n"} {
		if err := h.registerBy(fmt.Sprint("user", i+2), InviteCode(spelling), ""); err != nil {
			t.Errorf("%q: %v", spelling, err)
		}
	}
	wantKind(t, "a fifth use", h.registerBy("user7", InviteCode(code), ""), KindBadInvite)
	for what, c := range map[string]struct {
		code string
		kind Kind
	}{
		"none": {"", KindInviteRequired}, "nothing left of it": {" - ", KindBadInvite}, "cut": {code[:22], KindBadInvite}, "altered": {"A" + code[2:], KindBadInvite},
		"NUL": {code + "\x00", KindBadInvite}, "bad UTF-8": {"\xff", KindBadInvite}, "huge": {strings.Repeat("A", 1<<16), KindBadInvite}, "its hash": {string(h.state.inviteHash(InviteCode(code))), KindBadInvite},
	} {
		before := h.hasher.hashes.Load()
		wantKind(t, what, h.registerBy("user7", InviteCode(c.code), ""), c.kind)
		want(t, what+": hashes", h.hasher.hashes.Load()-before, 0)
	}

	// Expired, to the millisecond; revoked; made by one who has another key.
	code = string(h.invite(t, NewInvite{Uses: 2, Lifetime: time.Hour}))
	h.clock.Advance(time.Hour - time.Millisecond)
	if err := h.registerBy("in-time", InviteCode(code), ""); err != nil {
		t.Error(err)
	}
	h.clock.Advance(time.Millisecond)
	wantKind(t, "expired", h.registerBy("too-late", InviteCode(code), ""), KindBadInvite)
	code, i, err := revocable(h)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.state.options.Invites.RevokeInvite(t.Context(), i.ID, h.clock.Now()); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "revoked", h.registerBy("too-late", InviteCode(code), ""), KindBadInvite)
	wantKind(t, "of another house", h.registerBy("too-late", newHouse(t).invite(t, NewInvite{Uses: 1}), ""), KindBadInvite)
	for _, a := range h.store.accounts {
		if a.Username == "user7" || a.Username == "too-late" {
			t.Errorf("%s got in", a.Username)
		}
	}
}

func revocable(h *house) (string, Invite, error) {
	code, i, err := h.CreateInvite(context.Background(), NewInvite{Uses: 1, Lifetime: time.Hour})
	return string(code), i, err
}

// REG-04: an invite for one address is good for no other, and for none without one.
func TestREG04BoundInvite(t *testing.T) {
	h := newHouse(t, invited)
	code := h.invite(t, NewInvite{Uses: 1, ClaimedEmail: "Alice@EXAMPLE.com"})
	for what, email := range map[string]string{"another": "mallory@example.com", "none": ""} {
		wantKind(t, what, h.registerBy("mallory", code, email), KindBadInvite)
	}
	if err := h.registerBy("alice", code, "alice@example.com"); err != nil {
		t.Error(err)
	}
	wantKind(t, "again", h.registerBy("alice2", code, "alice@example.com"), KindBadInvite)
}

// REG-01: of many who have an invite for one, one gets in; a registration that fails uses nothing up.
func TestREG01InviteAtOnce(t *testing.T) {
	h := newHouse(t, invited)
	h.invite(t, NewInvite{Uses: 1})
	first := h.invite(t, NewInvite{Uses: 1})
	if err := h.registerBy("alice", first, "alice@example.com"); err != nil {
		t.Fatal(err)
	}
	h.store.accounts[0].EmailConfirmed = true
	for round := range 10 {
		code := h.invite(t, NewInvite{Uses: 1})
		wantKind(t, "a taken name", h.registerBy("alice", code, ""), KindUsernameTaken)
		wantKind(t, "a name that looks taken", h.registerBy("a1ice", code, ""), KindUsernameTaken)
		wantKind(t, "a taken address", h.registerBy("bob", code, "alice@example.com"), KindEmailTaken)
		wantKind(t, "a weak password", func() error {
			_, err := h.Join(t.Context(), Registration{ClaimedName: "bob", Password: NewPassword("short"), Invite: code, Client: client})
			return err
		}(), KindWeakPassword)
		h.store.onCall(func(_ context.Context, op string) error {
			if op == "CreateSession" {
				return errStore
			}
			return nil
		})
		_, err := h.Join(t.Context(), Registration{ClaimedName: "bob", Password: NewPassword(rightPassword), Invite: code, Client: client})
		wantKind(t, "no session to be had", err, KindUnavailable)
		h.store.onCall(nil)

		var won, lost atomic.Int32
		parallel(16, func(i int) {
			_, err := h.Join(context.Background(), Registration{
				ClaimedName: fmt.Sprintf("user-%d-%d", round, i), Password: NewPassword(rightPassword), Invite: code, Client: client,
			})
			switch {
			case err == nil:
				won.Add(1)
			case KindOf(err) == KindBadInvite:
				lost.Add(1)
			default:
				t.Error(err)
			}
		})
		want(t, "won and lost", fmt.Sprint(won.Load(), lost.Load()), "1 15")
	}
	want(t, "accounts", len(h.store.accounts), 11)
	want(t, "sessions", len(h.store.sessions), 10)
}

// An invite is looked at where one is needed, and only there; and a guess costs what an account costs.
func TestInviteNeeded(t *testing.T) {
	h := newHouse(t)
	if err := h.registerBy("alice", "no invite of ours", ""); err != nil {
		t.Errorf("not needed: %v", err)
	}
	want(t, "invites looked up", h.store.count("InviteByHash"), 0)
	_, err := h.Join(t.Context(), Registration{ClaimedName: "bob", Password: NewPassword(rightPassword), NeedInvite: true, Client: client})
	wantKind(t, "needed by the dialect", err, KindInviteRequired)
	_, err = h.Join(t.Context(), Registration{ClaimedName: "bob", Password: NewPassword(rightPassword), NeedInvite: true, Invite: h.invite(t, NewInvite{Uses: 1}), Client: client})
	if err != nil {
		t.Error(err)
	}

	closed := newHouse(t, func(_ *StateOptions, p *Policy) { p.Registration = RegistrationClosed })
	wantKind(t, "closed to the invited as well", closed.registerBy("alice", closed.invite(t, NewInvite{Uses: 1}), ""), KindRegistrationClosed)

	h = newHouse(t, invited, func(_ *StateOptions, p *Policy) { p.SignupRate = Rate{3, time.Hour} })
	code := h.invite(t, NewInvite{Uses: 1})
	looked := h.store.count("InviteByHash")
	for range 20 {
		_ = h.registerBy("alice", "AAAAA-BBBBB-CCCCC-DDDDD", "")
	}
	want(t, "guesses that were looked at", h.store.count("InviteByHash")-looked, 3)
	wantKind(t, "a good one, after that", h.registerBy("alice", code, ""), KindRateLimited)
	_, err = h.Register(t.Context(), Registration{ClaimedName: "alice", Password: NewPassword(rightPassword), Invite: code, Client: Client{Addr: netip.MustParseAddr("198.51.100.7")}})
	if err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
}

func TestNewInvite(t *testing.T) {
	h := newHouse(t)
	for what, c := range map[string]struct {
		n    NewInvite
		kind Kind
	}{
		"no use": {NewInvite{0, time.Hour, "", operator}, KindInvalidInput}, "negative": {NewInvite{-1, time.Hour, "", operator}, KindInvalidInput}, "too many": {NewInvite{MaxInviteUses + 1, time.Hour, "", operator}, KindInvalidInput},
		"2^31": {NewInvite{1 << 31, time.Hour, "", operator}, KindInvalidInput}, "no time": {NewInvite{1, 0, "", operator}, KindInvalidInput}, "negative time": {NewInvite{1, -time.Hour, "", operator}, KindInvalidInput},
		"for ever": {NewInvite{1, MaxInviteLifetime + 1, "", operator}, KindInvalidInput}, "no address": {NewInvite{1, time.Hour, "alice", operator}, KindInvalidEmail},
	} {
		_, _, err := h.CreateInvite(t.Context(), c.n)
		wantKind(t, what, err, c.kind)
		_, err = h.EnsureInvite(t.Context(), "0123456789abcdef", c.n)
		wantKind(t, what, err, c.kind)
	}
	for what, code := range map[string]InviteCode{
		"empty": "", "short": "0123456789abcde", "short but for hyphens": "a-b-c-d-e-f-g-h-", "long": InviteCode(strings.Repeat("0123456789abcdef", 9)), "a space": "0123456789 abcdef",
		"not ASCII": "0123456789abcdefé", "NUL": "0123456789abcdef\x00", "monotonous": "0101010101010101", "monotonous but for case": "aAbBcCdDeEaAbBcC",
	} {
		_, err := h.EnsureInvite(t.Context(), code, NewInvite{1, time.Hour, "", operator})
		wantKind(t, what, err, KindInvalidInput)
	}
	want(t, "invites", len(h.store.invites), 0)

	ensure := func(code InviteCode) bool {
		return must[bool](t)(h.EnsureInvite(t.Context(), code, NewInvite{1, time.Hour, "", operator}))
	}
	want(t, "made", ensure("0123456789abcdef"), true)
	want(t, "made again", ensure("0123456789abcdef"), false)
	want(t, "made again in another spelling", ensure("01234567-89ABCDEF"), false)
	want(t, "invites", len(h.store.invites), 1)
	_, err := h.Register(t.Context(), Registration{ClaimedName: "bob", Password: NewPassword(rightPassword), NeedInvite: true, Invite: "0123456789ABCDEF", Client: client})
	want(t, "registered", err, nil)
	want(t, "made again when used up", ensure("0123456789abcdef"), false)

	h.store.onCall(func(context.Context, string) error { return errStore })
	_, _, err = h.CreateInvite(t.Context(), NewInvite{1, time.Hour, "", operator})
	wantKind(t, "the store fails", err, KindUnavailable)
	h.store.onCall(nil)
}
